"""The root directory as a descriptor, and everything that is opened below it.

Whoever wants a descriptor inside an account root gets it here and nowhere else. Must not know uploads or
entries.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from lockgate.errors import IsADirectory, PermissionDenied, StorageError

from ._names import HiddenNames, from_bytes
from ._openat2 import O_PATH, kernel_has_openat2, open_beneath, open_walking

__all__ = ["FOLDER", "Descriptor", "Tree", "check_regular"]

# A directory to work relative to: O_PATH needs no permission to list it (drop boxes have none).
FOLDER = O_PATH | os.O_DIRECTORY
# O_NONBLOCK: opening a FIFO must not wait for its other end. O_NOCTTY: no terminal becomes ours.
_READ = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY


class Descriptor:
    """A file descriptor that is given back at `close`, or when nobody holds this object any more."""

    __slots__ = ("number",)

    def __init__(self, number: int) -> None:
        self.number = number

    def close(self) -> None:
        """Give the descriptor back; may be called twice; raises what close says (a full network disk)."""
        number, self.number = self.number, -1
        if number >= 0:
            os.close(number)

    def __enter__(self) -> int:
        return self.number

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        with contextlib.suppress(OSError):
            self.close()


class Tree:
    """A directory tree that nothing leads out of; thread-safe.

    Args:
        root: The directory; links in *this* path are followed, it is the operator's.
        names: What no link may lead to.
        follow_links: Links that stay inside are followed; False: no path that goes through one is opened.
        use_openat2: None asks the kernel; False forces the component walk, which follows no link in any case.

    Raises:
        OSError: The root cannot be opened.
    """

    def __init__(
        self,
        root: Path,
        names: HiddenNames | None = None,
        *,
        follow_links: bool = True,
        use_openat2: bool | None = None,
    ) -> None:
        self._has_openat2 = kernel_has_openat2() if use_openat2 is None else use_openat2
        self._follow_links = follow_links
        self._names = HiddenNames() if names is None else names
        self._root: Descriptor | None = Descriptor(os.open(root, FOLDER | os.O_CLOEXEC))

    def close(self) -> None:
        """Give the root back as soon as no call uses it; may be called twice.

        A call under way holds the object: closing the number under it could make it work below whatever
        directory gets the same number next.
        """
        self._root = None

    def open(self, parts: Sequence[bytes], flags: int) -> Descriptor:
        """Open a path below the root; raises `OSError`."""
        root = self._held()
        if not self._has_openat2:
            return Descriptor(open_walking(root.number, parts, flags))
        try:
            return Descriptor(open_beneath(root.number, parts, flags, follow_links=False))
        except OSError as error:
            if error.errno != errno.ELOOP or not self._follow_links:
                raise
        # There is a link on the way. The path that was asked for says nothing of what it leads to, so what
        # is hidden is looked for in the place where the kernel arrived: first with flags that tell nothing
        # of what is there, then again, in case a name was swapped meanwhile.
        self._arrive(root, parts, O_PATH).close()
        return self._arrive(root, parts, flags)

    def _arrive(self, root: Descriptor, parts: Sequence[bytes], flags: int) -> Descriptor:
        opened = Descriptor(open_beneath(root.number, parts, flags))
        if self._is_hidden_place(opened, root):
            opened.close()
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        return opened

    def _held(self) -> Descriptor:
        root = self._root
        if root is None:
            raise StorageError("this storage has been closed")
        return root

    def _is_hidden_place(self, opened: Descriptor, root: Descriptor) -> bool:
        """Say whether a link led to a hidden name, or to where that cannot be told."""
        try:
            place = _place(opened)
            above = _place(root).rstrip(b"/")
        except OSError:
            return True
        if place != above and not place.startswith(above + b"/"):
            return True
        parts = from_bytes(place[len(above) :]).split("/")
        # The kernel's mark on what was removed a moment ago must not make a hidden name look like another.
        return any(self._names.hides(part) for part in (*parts, parts[-1].removesuffix(" (deleted)")))

    def folder(self, parts: Sequence[bytes]) -> Descriptor:
        """Open a directory to work relative to."""
        return self.open(parts, FOLDER)

    def stat(self, parts: Sequence[bytes]) -> os.stat_result:
        """Return the status of a path, links inside the root followed."""
        with self.open(parts, O_PATH if O_PATH != os.O_RDONLY else _READ) as descriptor:
            return os.fstat(descriptor)

    def open_regular(self, parts: Sequence[bytes]) -> tuple[Descriptor, os.stat_result]:
        """Open a regular file for reading; never waits for a FIFO, never opens a device.

        Opening alone makes some devices act (a tape rewinds), so the kind is looked at before, on an O_PATH
        descriptor, and again after, in case the name was swapped meanwhile.
        """
        check_regular(self.stat(parts))
        opened = self.open(parts, _READ)
        try:
            status = os.fstat(opened.number)
            check_regular(status)
        except BaseException:
            opened.close()
            raise
        return opened, status

    @contextlib.contextmanager
    def changeable(self, parts: Sequence[bytes]) -> Iterator[str | int]:
        """Hold a file or directory so that `os.chmod` and `os.utime` reach it and nothing else.

        fchmod does not take O_PATH descriptors and an ordinary one needs read permission, which the owner may
        have taken from himself; the descriptor's own magic link needs neither and cannot be swapped by
        anybody.

        Raises:
            PermissionDenied: It is the root, by whatever name, or neither a file nor a directory.
        """
        has_links = _has_descriptor_links()
        with self.open(parts, O_PATH if has_links else _READ) as descriptor:
            status = os.fstat(descriptor)
            mode = status.st_mode
            if self._is_root(status):
                raise PermissionDenied("the root itself is not changed")
            if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
                raise PermissionDenied("neither a file nor a directory: it is not changed")
            yield f"/proc/self/fd/{descriptor}" if has_links else descriptor

    def _is_root(self, status: os.stat_result) -> bool:
        root = self._root
        return root is not None and os.path.samestat(status, os.fstat(root.number))


def check_regular(status: os.stat_result) -> None:
    """Refuse everything but regular files.

    Raises:
        IsADirectory: It is a directory.
        PermissionDenied: It is a FIFO, a device or a socket.
    """
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectory("a file is needed and this is a directory")
    if not stat.S_ISREG(status.st_mode):
        raise PermissionDenied("not a regular file: it is neither read nor replaced")


def _place(opened: Descriptor) -> bytes:
    return os.readlink(f"/proc/self/fd/{opened.number}".encode())  # noqa: PTH115 - a name is octets


@functools.cache
def _has_descriptor_links() -> bool:
    return os.path.isdir("/proc/self/fd")  # noqa: PTH112 - a system interface, no path of ours
