"""FTP over TLS, whole: the public names, nothing else.

Names are loaded when they are first used, so that `import lockgate` costs nearly nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from ._version import __version__
from .errors import (
    AccountNeeded,
    CertificateMismatch,
    CertificateRejected,
    ConfigError,
    ConnectionLost,
    DataLevelRefused,
    DataTlsRefused,
    FileUnavailable,
    HandshakeFailed,
    LocalProtocolError,
    LockgateError,
    NameRejected,
    NotLoggedIn,
    ProtectionRefused,
    RemoteProtocolError,
    ReplyError,
    ServiceNotAvailable,
    SessionReuseRequired,
    StorageError,
    TlsError,
    TransferAborted,
    TransferError,
    TransferTimeout,
    TruncatedTransfer,
)

if TYPE_CHECKING:
    from .client import aio as aio
    from .client.aio import AsyncClient
    from .client.api import Client, connect
    from .client.entries import RemoteEntry
    from .client.progress import Progress
    from .client.transfers import TransferReport
    from .client.trees import TreeIncomplete, TreeProgress, TreeReport

__all__ = [
    "AccountNeeded",
    "AsyncClient",
    "CertificateMismatch",
    "CertificateRejected",
    "Client",
    "ConfigError",
    "ConnectionLost",
    "DataLevelRefused",
    "DataTlsRefused",
    "FileUnavailable",
    "HandshakeFailed",
    "LocalProtocolError",
    "LockgateError",
    "NameRejected",
    "NotLoggedIn",
    "Progress",
    "ProtectionRefused",
    "RemoteEntry",
    "RemoteProtocolError",
    "ReplyError",
    "ServiceNotAvailable",
    "SessionReuseRequired",
    "StorageError",
    "TlsError",
    "TransferAborted",
    "TransferError",
    "TransferReport",
    "TransferTimeout",
    "TreeIncomplete",
    "TreeProgress",
    "TreeReport",
    "TruncatedTransfer",
    "__version__",
    "aio",
    "connect",
]

_LAZY = {
    "AsyncClient": "aio",
    "Client": "api",
    "Progress": "progress",
    "RemoteEntry": "entries",
    "TransferReport": "transfers",
    "TreeIncomplete": "trees",
    "TreeProgress": "trees",
    "TreeReport": "trees",
    "connect": "api",
}
"""Which module of `lockgate.client` a name comes from."""


def __getattr__(name: str) -> object:
    if name == "aio":
        found: object = importlib.import_module("lockgate.client.aio")
    elif name in _LAZY:
        found = getattr(importlib.import_module(f"lockgate.client.{_LAZY[name]}"), name)
    else:
        raise AttributeError(f"module 'lockgate' has no attribute {name!r}")
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
