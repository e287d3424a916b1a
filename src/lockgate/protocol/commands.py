"""One command line: parsed into a `Command`, or built from one.

Secrets stay out of `repr`. Must not judge whether a command may run now: that is for `gates`.
"""

from __future__ import annotations

from dataclasses import dataclass

from lockgate.errors import LocalProtocolError, RemoteProtocolError, shorten

from .verbs import Verb, VerbRow, lookup

__all__ = ["Command", "decode", "encode"]

_FORBIDDEN = ("\r", "\n", "\0")
_SECRET_WORDS = ("PASS", "ACCT")
_SECRET_LENGTH = 4


def decode(data: bytes) -> str:
    """Decode bytes of the wire as UTF-8; octets that are not survive as surrogate escapes (RFC 2640 §2.2)."""
    return data.decode("utf-8", "surrogateescape")


def encode(text: str) -> bytes:
    """Encode text for the wire, the reverse of `decode`.

    Raises:
        LocalProtocolError: The text holds a surrogate that stands for no octet.
    """
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        message = f"cannot be sent: {shorten(text)} holds half of a surrogate pair; pass valid text"
        raise LocalProtocolError(message) from error


@dataclass(frozen=True, slots=True)
class Command:
    """A command: a word, and an argument or None.

    Attributes:
        word: The word in upper case, as a known verb spells it or as the peer sent it.
        argument: Everything behind the one space, or None where there was no space.

    Raises:
        LocalProtocolError: The word or the argument could not stand on one line (RFC 959 §5.3.1), or holds
            text that no octets stand for.
    """

    word: str
    argument: str | None = None

    def __post_init__(self) -> None:
        if not self.word or not self.word.isascii() or not self.word.isprintable() or " " in self.word:
            raise LocalProtocolError(f"not a command word: '{shorten(self.word)}'")
        if self.argument is not None and any(octet in self.argument for octet in _FORBIDDEN):
            # A CR or LF in a file name would put a command of its own on the wire.
            shown = "its argument" if self.is_secret else f"'{shorten(self.argument)}'"
            raise LocalProtocolError(f"{self.word}: {shown} holds CR, LF or NUL, which no command can carry")
        if self.argument is not None and not self.argument.isascii():
            encode(self.argument)

    @property
    def row(self) -> VerbRow | None:
        """The table's row for this command, or None when the word is unknown."""
        return lookup(self.word)

    @property
    def verb(self) -> Verb | None:
        """The verb with other spellings folded (XCWD is CWD), or None when the word is unknown."""
        row = lookup(self.word)
        return None if row is None else row.canonical

    @property
    def is_secret(self) -> bool:
        """True when the argument must not be shown."""
        row = lookup(self.word)
        # A mistyped PASS is an unknown word.
        return row is None or row.secret

    @property
    def text(self) -> str:
        """The argument, or the empty string."""
        return self.argument or ""

    @classmethod
    def parse(cls, line: bytes) -> Command:
        """Read one line without its line end (RFC 959 §5.3).

        Raises:
            RemoteProtocolError: The line does not start with a command word, or holds CR, LF or NUL.
        """
        word, space, argument = line.partition(b" ")
        try:
            return cls(word.decode("ascii").upper(), decode(argument) if space else None)
        except (UnicodeDecodeError, LocalProtocolError):
            # The cause would show the line, and "PASS<tab>secret" is such a line.
            raise RemoteProtocolError("not a command line") from None

    def to_bytes(self) -> bytes:
        """Return the line as it goes out, IAC doubled (RFC 854) and CRLF at the end."""
        line = self.word if self.argument is None else f"{self.word} {self.argument}"
        return encode(line).replace(b"\xff", b"\xff\xff") + b"\r\n"

    def __repr__(self) -> str:
        word = self._shown_word()
        if self.argument is None:
            return f"Command({word!r})"
        shown = "<hidden>" if self.is_secret else shorten(self.argument, 200)
        return f"Command({word!r}, '{shown}')"

    def __str__(self) -> str:
        word = self._shown_word()
        if self.argument is None:
            return word
        return f"{word} {'***' if self.is_secret else shorten(self.argument, 200)}"

    def _shown_word(self) -> str:
        # "PASS:secret" and "PASSsecret" are unknown words, and yet somebody's password.
        if lookup(self.word) is None and self.word.upper().startswith(_SECRET_WORDS):
            return f"{self.word[:_SECRET_LENGTH]}***"
        return shorten(self.word, 200)
