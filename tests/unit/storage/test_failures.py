"""What system errors become."""

from __future__ import annotations

import errno

import pytest

from lockgate import errors
from lockgate.storage._failures import Translated, storage_error
from lockgate.storage.base import QuotaExceeded


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.ENOENT, errors.NotFound),
        (errno.EEXIST, errors.AlreadyExists),
        (errno.EACCES, errors.PermissionDenied),
        (errno.EPERM, errors.PermissionDenied),
        (errno.EROFS, errors.PermissionDenied),
        (errno.EISDIR, errors.IsADirectory),
        (errno.ENOTDIR, errors.NotADirectory),
        (errno.ENOTEMPTY, errors.DirectoryNotEmpty),
        (errno.ENAMETOOLONG, errors.NameRejected),
        (errno.EINVAL, errors.NameRejected),
        (errno.EXDEV, errors.OutsideRoot),
        (errno.ELOOP, errors.OutsideRoot),
        (errno.ENOSPC, errors.NoSpace),
        (errno.EDQUOT, QuotaExceeded),
        (errno.EFBIG, errors.NoSpace),
        (errno.EIO, errors.StorageError),
        (errno.EMFILE, errors.StorageError),
        (99999, errors.StorageError),
    ],
)
def test_each_system_error_has_its_meaning(number: int, kind: type[errors.StorageError]) -> None:
    assert type(storage_error(OSError(number, "said the system"), "/file")) is kind


def test_the_cause_is_chained_and_its_host_paths_are_not_told() -> None:
    with pytest.raises(errors.NotFound) as raised, Translated("/file"):
        raise FileNotFoundError(errno.ENOENT, "No such file", "/srv/secret/place")
    assert isinstance(raised.value.__cause__, FileNotFoundError)
    assert "/srv" not in str(raised.value)


@pytest.mark.requirement("RSEC-line-b")
def test_a_name_puts_no_line_of_its_own_into_a_message() -> None:
    message = str(storage_error(OSError(errno.ENOENT, ""), "/a\r\n226 done"))
    assert "\n" not in message
    assert "\r" not in message


def test_what_is_no_system_error_passes_as_it_is() -> None:
    with pytest.raises(KeyError), Translated("/file"):
        raise KeyError("unrelated")
