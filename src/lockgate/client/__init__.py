"""The client: conversations written once as generators of effects, run by a blocking and an asyncio driver.

Needs the standard library only. Must not know server or command line. Nothing of it is imported here:
`lockgate` gives out the public names when they are asked for.
"""

import logging

# What is worth a line is raised or reported too; without a handler of the program's nothing is printed.
logging.getLogger(__name__).addHandler(logging.NullHandler())
