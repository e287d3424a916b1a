"""Who may come in, and where to: accounts, passwords, certificates in their place, limits to guessing.

Blocking where it hashes, called in worker threads. Must not know replies, commands or sockets.
"""
