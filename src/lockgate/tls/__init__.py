"""TLS over bytes on the standard library's ssl: policies, contexts, an engine, bindings and identities.

Knows no sockets and no FTP words; who is the TLS client on which connection is decided by its callers.
"""
