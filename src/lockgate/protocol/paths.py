"""Virtual paths: resolving what a client names, the quoted path of 257, names fit for replies and listings.

A virtual path is absolute, "/"-separated and normalised: no empty, "." or ".." component; "/" is the root.
Text stands for octets, decoded as UTF-8 with `surrogateescape` (RFC 2640 §2.2). A backslash, "%2e" or "~" is
an ordinary part of a name. Must not know a file system: that no symbolic link leads out of the root is the
storage's to see to, and no check here stands in for it.
"""

from __future__ import annotations

import re

from lockgate.errors import RemoteProtocolError, shorten

__all__ = [
    "is_plain_name",
    "join",
    "listed",
    "listing_paths",
    "parse_257",
    "quote_257",
    "resolve",
    "shown",
    "split",
]

_FORBIDDEN = re.compile(r"[\0\r\n]")
# C0, DEL, C1, the two Unicode line ends, the marks that turn the direction of text (they make "exe.txt" of
# "txt.exe"), and surrogates that stand for no octet (U+DC80 to U+DCFF do).
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udc7f\udd00-\udfff]")
_QUOTED = re.compile(r'"((?:[^"]|"")*)"(?!")')


def resolve(cwd: str, argument: str) -> str:
    """Return the virtual path that an argument names, seen from a working directory.

    Never leads above "/": ".." there stays there. An empty argument is the working directory.

    Args:
        cwd: The working directory, a virtual path.
        argument: What the peer sent: absolute or relative, with any number of "/", "." and "..".

    Returns:
        A normalised absolute path.

    Raises:
        RemoteProtocolError: The argument holds NUL, CR or LF, which no path name can (RFC 959 §5.3.2).
    """
    if _FORBIDDEN.search(argument):
        raise RemoteProtocolError(
            f"path '{shorten(argument)}' holds NUL, CR or LF; send a path without these octets"
        )
    whole = argument if argument.startswith("/") else f"{cwd}/{argument}"
    kept: list[str] = []
    for part in whole.split("/"):
        if part == "..":
            del kept[-1:]
        elif part not in ("", "."):
            kept.append(part)
    return "/" + "/".join(kept)


def listing_paths(cwd: str, argument: str) -> tuple[str, ...]:
    """Return what the argument of LIST, NLST or STAT may mean, the likeliest first.

    An argument such as "-la" is an option of `ls` to most clients, and a file's name to RFC 959. So it has
    two meanings: as it stands, and without the options.

    Raises:
        RemoteProtocolError: As `resolve`.
    """
    literal = resolve(cwd, argument)
    if not argument.startswith("-"):
        return (literal,)
    words = argument.split(" ")
    while words and words[0].startswith("-"):
        words.pop(0)
    return literal, resolve(cwd, " ".join(words))


def split(path: str) -> tuple[str, str]:
    """Split a virtual path into its parent and its last component; "/" gives ("/", "")."""
    parent, _, name = path.rpartition("/")
    return parent or "/", name


def join(parent: str, name: str) -> str:
    """Put a plain name behind a virtual path: the reverse of `split`."""
    return f"/{name}" if parent == "/" else f"{parent}/{name}"


def is_plain_name(name: str) -> bool:
    """Tell whether a name from a peer is one component and nothing else.

    Names of a listing come from the other side; one that says "../x" must not be written anywhere.

    Args:
        name: A name out of a listing.

    Returns:
        False for "", ".", ".." and names with "/", NUL, CR or LF.
    """
    return name not in ("", ".", "..") and "/" not in name and not _FORBIDDEN.search(name)


def shown(path: str) -> str:
    """Return a name or path fit for the text of one reply line.

    Control characters (C0, DEL, C1, line ends, marks of direction) and surrogates that stand for no octet
    become "?", so that no name forges a line or a terminal sequence. Octets that are not UTF-8 (surrogate
    escapes) stay as they are.
    """
    return _CONTROL.sub("?", path)


def listed(name: str) -> str:
    """Return a name as a listing may carry it: as it is, with NUL, CR and LF as "?".

    RFC 3659 §7.2 sends names as they are; these three would end the line and let a name forge the next one.
    """
    return _FORBIDDEN.sub("?", name)


def quote_257(path: str) -> str:
    """Return a path as reply 257 carries it: in quotes, quotes in it doubled (RFC 959 Appendix II).

    NUL, CR and LF, which a resolved path never holds, become "?"; everything else stays, for clients use the
    path.
    """
    doubled = listed(path).replace('"', '""')
    return f'"{doubled}"'


def parse_257(text: str) -> str:
    """Return the path that a 257 reply carries (RFC 959 Appendix II).

    Args:
        text: The reply's text, without the code; words before and after the quoted path are ignored.

    Returns:
        The path with doubled quotes undone: as the server wrote it, neither normalised nor to be trusted.

    Raises:
        RemoteProtocolError: No complete quoted path is there, it is empty, or it holds NUL, CR or LF.
    """
    # Only at the first quote: looking at every one would take long on a line full of them.
    found = _QUOTED.match(text, max(0, text.find('"')))
    path = found[1].replace('""', '"') if found else ""
    if not path or _FORBIDDEN.search(path):
        raise RemoteProtocolError(f"257 '{shorten(text)}' carries no path in quotes")
    return path
