"""FTP as rules, without I/O: commands, replies, states, refusals, and two ends fed with bytes.

Server, client and tools all run this one core. It must not import socket, ssl, asyncio, threading, time or
os: bytes come in as arguments, bytes go out as return values, and what has to happen in the world is said by
effects.
"""
