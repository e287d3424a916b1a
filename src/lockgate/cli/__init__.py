"""The command line: one file a sub-command, on typer and rich.

Must not hold logic that a Python program would want too: that belongs to the client or the server.
"""
