"""Opening below a root so that nothing leads out of it, and renaming without replacing.

`open_beneath` lets the kernel resolve the whole path in one call and refuse every step out of the root, also
when somebody swaps directories and links at the same moment. `open_walking` is for kernels (before Linux 5.6)
and sandboxes without openat2: it opens component after component and follows no symbolic link at all. Both
take components and a descriptor, never an absolute path, and raise `OSError`; both are thread-safe and block
as open does.

Importing this module works on every system; `kernel_has_openat2` says what is there.
"""

from __future__ import annotations

import ctypes
import errno
import functools
import os
import platform
import stat
import sys
from collections.abc import Callable, Sequence
from typing import Final

__all__ = ["O_PATH", "kernel_has_openat2", "open_beneath", "open_walking", "rename_exclusively"]

# Where O_PATH is missing (not Linux) an ordinary read-only descriptor has to do.
O_PATH: Final[int] = getattr(os, "O_PATH", os.O_RDONLY)
_SYS_OPENAT2: Final = 437  # the same number on every architecture that got it in the unified table
_MACHINES: Final = frozenset({"x86_64", "aarch64", "arm64", "armv7l", "i686", "ppc64le", "riscv64", "s390x"})
_RESOLVE_NO_MAGICLINKS: Final = 0x02
_RESOLVE_NO_SYMLINKS: Final = 0x04
_RESOLVE_BENEATH: Final = 0x08
_RENAME_NOREPLACE: Final = 1
# openat2 says EAGAIN when a rename elsewhere got in the way of judging a ".." inside a link. The limit keeps
# a client that renames in a loop from holding a worker; what is left after it is an attack or a broken disk.
_ATTEMPTS: Final = 256


class _OpenHow(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


@functools.cache
def _libc() -> ctypes.CDLL:
    # use_errno keeps a copy of errno per thread, taken before the interpreter lock comes back.
    return ctypes.CDLL(None, use_errno=True)


@functools.cache
def _syscall() -> Callable[..., int]:
    function = _libc().syscall
    function.restype = ctypes.c_long
    function.argtypes = (ctypes.c_long, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p, ctypes.c_size_t)
    return function


@functools.cache
def kernel_has_openat2() -> bool:
    """Say whether openat2 works here; asks the kernel once (old kernels say ENOSYS, some sandboxes EPERM)."""
    if not sys.platform.startswith("linux") or platform.machine() not in _MACHINES:
        return False
    try:
        root = os.open(".", O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:  # the current directory is gone; "/" is there
        root = os.open("/", O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.close(open_beneath(root, (), O_PATH | os.O_DIRECTORY))
    except OSError:
        return False
    finally:
        os.close(root)
    return True


def open_beneath(root: int, parts: Sequence[bytes], flags: int, *, follow_links: bool = True) -> int:
    """Open a path below a root descriptor with openat2.

    Args:
        root: A descriptor of the root directory.
        parts: The components, without "/" and NUL; none of them means the root itself.
        flags: As for `os.open`, without O_CREAT; O_CLOEXEC is added.
        follow_links: Symbolic links that stay inside are followed; False: any of them is refused.

    Raises:
        OSError: EXDEV when the path leads out of the root, ELOOP for magic links (/proc/self/root and the
            like) and for links that are not followed.
    """
    resolve = _RESOLVE_BENEATH | _RESOLVE_NO_MAGICLINKS | (0 if follow_links else _RESOLVE_NO_SYMLINKS)
    how = _OpenHow(flags | os.O_CLOEXEC, 0, resolve)
    path = b"/".join(parts) or b"."
    number = errno.EAGAIN
    for _ in range(_ATTEMPTS):
        descriptor = _syscall()(_SYS_OPENAT2, root, path, ctypes.byref(how), ctypes.sizeof(how))
        if descriptor >= 0:
            return descriptor
        number = ctypes.get_errno()
        if number not in (errno.EAGAIN, errno.EINTR):
            break
    raise OSError(number, os.strerror(number))


def open_walking(root: int, parts: Sequence[bytes], flags: int) -> int:
    """Open a path below a root descriptor component by component; a symbolic link anywhere is refused.

    Args:
        root: A descriptor of the root directory.
        parts: The components; none of them means the root itself.
        flags: As for `os.open`, without O_CREAT; O_CLOEXEC and O_NOFOLLOW are added.

    Raises:
        OSError: ELOOP when a component is a symbolic link.
    """
    if any(part in (b"", b".", b"..") or b"/" in part for part in parts):
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
    if not parts:
        return os.open(b".", flags | os.O_CLOEXEC, dir_fd=root)
    here = root
    try:
        for part in parts[:-1]:
            below = _open_step(here, part, O_PATH | os.O_DIRECTORY)
            if here != root:
                os.close(here)
            here = below
        return _open_step(here, parts[-1], flags)
    finally:
        if here != root:
            os.close(here)


def _open_step(folder: int, name: bytes, flags: int) -> int:
    try:
        descriptor = os.open(name, flags | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    except NotADirectoryError:
        # O_DIRECTORY hides from us that it was a link; look, for the right error only.
        if stat.S_ISLNK(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP)) from None
        raise
    # O_PATH with O_NOFOLLOW opens the link itself instead of refusing it.
    if flags & O_PATH and stat.S_ISLNK(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
    return descriptor


def rename_exclusively(folder: int, source: bytes, target: bytes) -> None:
    """Rename inside one directory, failing with EEXIST when the target's name is taken; one atomic step.

    Where renameat2 or the file system lacks RENAME_NOREPLACE, a hard link and an unlink do the same.
    """
    function = getattr(_libc(), "renameat2", None)
    if function is not None:
        if function(folder, source, folder, target, ctypes.c_uint(_RENAME_NOREPLACE)) == 0:
            return
        number = ctypes.get_errno()
        if number not in (errno.EINVAL, errno.ENOSYS, errno.EPERM):
            raise OSError(number, os.strerror(number))
    os.link(source, target, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
    os.unlink(source, dir_fd=folder)
