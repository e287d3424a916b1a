"""The client: conversations written once as generators of effects, run by a blocking and an asyncio driver.

Needs the standard library only. Must not know server or command line. Nothing is imported here: `lockgate`
gives out the public names when they are asked for.
"""
