"""`python -m lockgate`: the command line, where its console script is not on the PATH."""

from __future__ import annotations

import sys

from lockgate.cli.main import main

__all__: list[str] = []

if __name__ == "__main__":
    sys.exit(main())
