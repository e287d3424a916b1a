"""Where files are: one interface, its backends and the suite that each of them passes.

Blocking, called in worker threads. Must not know replies, commands or sockets; it raises `StorageError`.
"""
