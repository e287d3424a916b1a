"""The files of accounts: one storage per home and way to keep files, shared by the sessions that have both.

Must not know sessions or replies.
"""

from __future__ import annotations

import dataclasses
import os
import threading
from typing import TYPE_CHECKING, NamedTuple
from weakref import WeakValueDictionary

from lockgate.accounts.files import LinkRule, UploadStyle
from lockgate.errors import ConfigError
from lockgate.storage.local import LocalStorage, TreeState
from lockgate.storage.settings import FileSettings

from .config import files_for
from .config.owners import group_number, user_number

if TYPE_CHECKING:
    from pathlib import Path

    from lockgate.accounts.base import Account
    from lockgate.storage.base import Storage

    from .cleaning import PartialCleaner
    from .config import FilesConfig
    from .quotas import Quotas

__all__ = ["Homes", "file_settings"]


class _Key(NamedTuple):
    home: Path
    settings: FileSettings


class Homes:
    """The storages of a server. Thread-safe.

    Args:
        files: `[files]`.
        cleaner: Told of each home, to remove old partial uploads there.
        quotas: Limit what may be in a home.
    """

    __slots__ = ("_cleaner", "_files", "_lock", "_quotas", "_states", "_storages")

    def __init__(self, files: FilesConfig, cleaner: PartialCleaner, quotas: Quotas) -> None:
        self._files = files
        self._cleaner = cleaner
        self._quotas = quotas
        self._storages: dict[_Key, LocalStorage] = {}
        self._lock = threading.Lock()
        self._states: WeakValueDictionary[Path, TreeState] = WeakValueDictionary()

    def storage_for(self, account: Account) -> Storage:
        """Return the files of an account; its home is made if it is missing. Blocks; any helper thread.

        Raises:
            ConfigError: The home cannot be made, or the owner of its files is unknown.
            StorageError: The home cannot be opened.
        """
        settings = file_settings(files_for(self._files, account.files))
        key = _Key(account.home, dataclasses.replace(settings, drop_box=account.is_drop_box))
        storage = self._storages.get(key)
        if storage is None:
            _make(key)
            made = LocalStorage(key.home, key.settings, state=self._state(key.home))
            # Two threads may both get here; the second's storage is dropped by setdefault and collected.
            storage = self._storages.setdefault(key, made)
            self._cleaner.home_opened(key.home)
        # Files are shared, what was interrupted is not.
        return self._quotas.limited(account, storage.for_account(account.name))

    def _state(self, home: Path) -> TreeState:
        """Return what storages of one home share, also with those of sessions from before a reload."""
        with self._lock:
            state = self._states.get(home)
            if state is None:
                state = self._states[home] = TreeState()
            return state

    def replace(self, files: FilesConfig) -> None:
        """Take a new `[files]`, for logins to come. Sessions keep the storages that they have."""
        self._files = files
        # Not closed: what sessions still hold goes when they let it go.
        self._storages = {}

    def close(self) -> None:
        """Give every home back; open handles go on."""
        for storage in self._storages.values():
            storage.close()


def file_settings(files: FilesConfig) -> FileSettings:
    """Return a storage's settings: `[files]` with names of users and groups as numbers. Blocks shortly.

    Raises:
        ConfigError: There is no such user or group.
    """
    return FileSettings(
        in_place=files.uploads is UploadStyle.IN_PLACE,
        fsync=files.fsync,
        umask=int(files.umask, 8),
        owner=user_number(files.owner) if files.owner else None,
        group=group_number(files.group) if files.group else None,
        hidden=files.hidden,
        follow_links=files.symlinks is LinkRule.INSIDE,
    )


def _make(key: _Key) -> None:
    """Make a home that is missing, with the mode and the owner that directories in it get."""
    home, settings = key
    if home.is_dir():
        return
    try:
        home.parent.mkdir(parents=True, exist_ok=True)
        home.mkdir(exist_ok=True)
        opened = os.open(home, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            settings.hand_over(opened)
            os.fchmod(opened, settings.folder_mode)
        finally:
            os.close(opened)
    except OSError as error:
        raise ConfigError(f"home {home}: cannot be made: {error.strerror}") from error
