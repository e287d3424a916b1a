"""TYPE A: line ends between the network's form (CRLF) and the local one (LF), block by block.

Both converters give the same bytes however the input is cut into blocks. They work with whole-block
replacements, because file data passes through here. Must not decode text: only CR and LF have a meaning,
other octets pass.

RFC 959 §3.1.1.1 wants CRLF on the network. It says nothing about a CR or LF that stands alone in a file; what
is local data then stays as it is: a lone CR in both directions, a lone LF from the network. CRLF that already
stands in a local file stays CRLF, so that files from Windows do not get CRCRLF.
"""

from __future__ import annotations

__all__ = ["FromNetwork", "ToNetwork"]

_Block = bytes | bytearray | memoryview


class ToNetwork:
    """Turns local line ends (LF) into those of the network (CRLF); not thread-safe, never blocks.

    RFC 959 §3.1.1.1, §3.4.1.
    """

    __slots__ = ("_after_cr",)

    def __init__(self) -> None:
        self._after_cr = False

    def feed(self, data: _Block) -> bytes:
        """Convert the next block; nothing is held back.

        Args:
            data: Any number of local octets.

        Returns:
            What goes to the network for them.
        """
        block = bytes(data)
        if not block:
            return b""
        out = block.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
        if self._after_cr and block.startswith(b"\n"):
            # The CR of this CRLF ended the block before and is already out.
            out = out[1:]
        self._after_cr = block.endswith(b"\r")
        return out

    def finish(self) -> bytes:
        """End the file: return what is still to be sent (nothing) and be ready for the next file."""
        self._after_cr = False
        return b""


class FromNetwork:
    """Turns the network's line ends (CRLF) into local ones (LF); not thread-safe, never blocks.

    RFC 959 §3.1.1.1, §3.4.1.
    """

    __slots__ = ("_held",)

    def __init__(self) -> None:
        self._held = b""

    def feed(self, data: _Block) -> bytes:
        """Convert the next block; a CR at its end is held back until the octet behind it is known.

        Args:
            data: Any number of octets from the network.

        Returns:
            The local octets that are certain by now.
        """
        block = self._held + data if self._held else bytes(data)
        self._held = b""
        if block.endswith(b"\r"):
            self._held = b"\r"
            block = block[:-1]
        return block.replace(b"\r\n", b"\n")

    def finish(self) -> bytes:
        """End the file: return a CR that was held back, and be ready for the next file."""
        held, self._held = self._held, b""
        return held
