"""The server: control connections on asyncio, sessions, dispatch, transfer jobs, limits and configuration.

Must not move file data on the event loop, and must not decide what the tables of `protocol` decide.
"""
