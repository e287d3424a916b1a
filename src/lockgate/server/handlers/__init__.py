"""What the server does for each verb once every gate has let the command through.

A handler never checks login or protection: `protocol.gates` has done so before it runs.
"""
