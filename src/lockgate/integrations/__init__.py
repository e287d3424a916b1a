"""Lockgate inside other people's frameworks.

Must not hold logic of its own: it adapts the client's and the server's public names.
"""
