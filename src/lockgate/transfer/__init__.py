"""Moves file data over blocking sockets in worker threads; used by the server and by both clients.

Must not know commands or reply codes: it is told what to move, and answers with an `Outcome`.
"""
