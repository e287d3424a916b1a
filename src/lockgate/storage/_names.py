"""Names: what a virtual path may hold, which names belong to the backend, how partial uploads are called.

Pure text; no file is touched here. That a path stays inside the root is decided by the kernel or the
component walk (`_openat2`), never by looking at text: refusing ".." here only makes the error clear.
"""

from __future__ import annotations

import fnmatch
import hashlib
import itertools
import re
import secrets
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from lockgate.errors import NameRejected, NotFound, OutsideRoot, shorten

__all__ = [
    "HIDDEN_PREFIX",
    "NAME_LIMIT_BYTES",
    "HiddenNames",
    "beside",
    "from_bytes",
    "split_kept",
    "to_bytes",
    "unique_name",
    "visible_target",
]

HIDDEN_PREFIX: Final = ".lockgate-"
# What every Linux file system takes; the memory backend keeps to it so that it refuses what a disk would
# refuse.
NAME_LIMIT_BYTES: Final = 255


def to_bytes(name: str) -> bytes:
    """Return the octets of a name, as they came from the wire or the disk.

    Not `os.fsencode`: that follows the locale, and the wire is UTF-8 in every locale (RFC 2640 section 3.1).

    Raises:
        NameRejected: The text stands for no octets, or holds a NUL.
    """
    try:
        raw = name.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        raise NameRejected(f"the name has no UTF-8 form: {shorten(name)}") from error
    if b"\0" in raw:
        raise NameRejected(f"no name may hold a NUL: {shorten(name)}")
    return raw


def from_bytes(raw: bytes) -> str:
    """Return the text of a name; every sequence of octets has one and `to_bytes` gives the octets back."""
    return raw.decode("utf-8", "surrogateescape")


def visible_target(target: str, depth: int) -> str | None:
    """Return a link's target if it may be shown, None if it speaks of places outside the root.

    Args:
        target: What the link holds.
        depth: How many directories below the root the link's directory is.
    """
    if target.startswith("/"):
        return None
    for part in target.split("/"):
        if part == "..":
            depth -= 1
        elif part not in ("", "."):
            depth += 1
        if depth < 0:
            return None
    return target


def beside(name: bytes, hidden: HiddenNames, attempts: int = 8) -> Iterator[bytes]:
    """Yield a name, and then some that are like it, most probably unused, and not hidden; maybe none."""
    yield name
    for _ in range(attempts):
        token = secrets.token_hex(4).encode()
        short = name[: NAME_LIMIT_BYTES - len(token) - 1]
        # An operator who hides "report.*" means what clients make of a report, not what they drop.
        likely = (
            short + b"." + token,
            short + b"-" + token,
            token + b"-" + short,
            token + b"." + short,
            token,
        )
        visible = (one for one in likely if not hidden.hides(from_bytes(one)))
        yield from itertools.islice(visible, 1)


def unique_name(prefix: str) -> str:
    """Return a name that is most probably unused, beginning with the prefix."""
    if "/" in prefix:
        raise NameRejected(f"a name holds no slash: {shorten(prefix)}")
    return f"{prefix}.{secrets.token_hex(4)}" if prefix else f"upload.{secrets.token_hex(4)}"


@dataclass(frozen=True, slots=True)
class HiddenNames:
    """The names that are not there for clients: the backend's own, and those that the operator hides.

    Attributes:
        prefix: What the backend's own names start with; ASCII, without "/".
        patterns: Shell patterns of the operator's; compared with whole names, octet by octet.
    """

    prefix: str = HIDDEN_PREFIX
    patterns: tuple[str, ...] = ()
    _matcher: re.Pattern[str] | None = field(init=False, repr=False, compare=False, default=None)

    def __post_init__(self) -> None:
        if self.patterns:
            joined = "|".join(fnmatch.translate(pattern) for pattern in self.patterns)
            object.__setattr__(self, "_matcher", re.compile(joined))
        if not self.prefix or not self.prefix.isascii() or "/" in self.prefix or self.prefix.strip(".") == "":
            raise ValueError(f"not fit for a hidden prefix: {self.prefix!r}")

    def hides(self, name: str) -> bool:
        """Say whether a name is not there for clients."""
        if self._matcher is not None and self._matcher.match(name):
            return True
        return self.is_own(name)

    def is_own(self, name: str) -> bool:
        """Say whether a name belongs to the backend.

        File systems that ignore case (vfat, ext4 with casefold) also ignore default-ignorable code points and
        know compatibility forms: names that are the same there must be the same here.
        """
        if name.isascii():
            return name[: len(self.prefix)].lower() == self.prefix.lower()
        folded = unicodedata.normalize("NFKD", name).casefold()
        plain = "".join(char for char in folded if unicodedata.category(char) not in ("Cf", "Mn"))
        return plain.startswith(self.prefix.lower())

    def existing(self, path: str) -> tuple[bytes, ...]:
        """Return the components of a path that should exist.

        Raises:
            NotFound: A component is hidden.
            OutsideRoot: A component is "..".
            NameRejected: The path is not absolute, or a name cannot be.
        """
        return self._parts(path, NotFound)

    def new(self, path: str) -> tuple[bytes, ...]:
        """Return the components of a path to be made; as `existing`, but hidden ones are NameRejected."""
        return self._parts(path, NameRejected)

    def _parts(self, path: str, refusal: type[NotFound | NameRejected]) -> tuple[bytes, ...]:
        if not path.startswith("/"):
            raise NameRejected(f"a virtual path begins with a slash: {shorten(path)}")
        parts = [part for part in path.split("/") if part not in ("", ".")]
        if ".." in parts:
            raise OutsideRoot(f"the path is not normalised and may lead out of the root: {shorten(path)}")
        if any(self.hides(part) for part in parts):
            told = "no such file or directory" if refusal is NotFound else "this name is reserved"
            raise refusal(f"{told}: {shorten(path)}")
        return tuple(to_bytes(part) for part in parts)

    def working(self, target: bytes) -> bytes:
        """Return a fresh name for an upload under way to `target`."""
        return f"{self.prefix}{_digest(target)}.{secrets.token_hex(8)}.tmp".encode()

    def kept(self, target: bytes, account: str = "") -> bytes:
        """Return the one name under which an interrupted upload of an account to `target` is kept."""
        return self.kept_stem(target) + f".{_digest(account.encode(errors='surrogatepass'))}.part".encode()

    def kept_stem(self, target: bytes) -> bytes:
        """Return what the names of all accounts' kept parts for `target` begin with; see `split_kept`."""
        return f"{self.prefix}{_digest(target)}".encode()

    def is_kept(self, name: str) -> bool:
        """Say whether this is a kept part's name, also one that does not say whose it is."""
        return self._matches(name, r"(\.[0-9a-f]{32})?\.part")

    def has_account(self, name: str) -> bool:
        """Say whether it is a kept part's name that says whose part it is, as all have that `kept` makes."""
        return self._matches(name, r"\.[0-9a-f]{32}\.part")

    def is_partial(self, name: str) -> bool:
        """Say whether it is the name of a kept part or of an upload under way."""
        return self._matches(name, r"(\.[0-9a-f]{16}\.tmp|(\.[0-9a-f]{32})?\.part)")

    def _matches(self, name: str, ending: str) -> bool:
        return re.fullmatch(f"{re.escape(self.prefix)}[0-9a-f]{{32}}{ending}", name) is not None


def split_kept(kept: bytes) -> tuple[bytes, bytes]:
    """Return the stem of a kept part's name, which stands for its target, and the mark of its account."""
    stem, _, mark = kept.removesuffix(b".part").rpartition(b".")
    return stem, mark


def _digest(target: bytes) -> str:
    # Finding the partial again needs no secrecy, only a short name whatever the length of the target's.
    return hashlib.blake2b(target, digest_size=16).hexdigest()
