"""The client: conversations written once as generators of effects, run by a blocking and an asyncio driver.

Needs the standard library only.
"""
