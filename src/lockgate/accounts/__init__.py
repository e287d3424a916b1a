"""Who may come in, and where to: accounts, passwords, certificates that stand for a login, and guessing limits.

Blocking where it hashes, called in worker threads. Must not know replies, commands or sockets.
"""
