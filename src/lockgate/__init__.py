"""FTP over TLS, whole: the public names, nothing else.

Names are loaded when they are first used, so that `import lockgate` costs nearly nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from ._version import __version__
from .errors import (
    AccountNeeded,
    AlreadyExists,
    CertificateMismatch,
    CertificateRejected,
    ConfigError,
    ConnectionLost,
    DataLevelRefused,
    DataTlsRefused,
    DirectoryNotEmpty,
    FileUnavailable,
    HandshakeFailed,
    IsADirectory,
    LocalProtocolError,
    LockgateError,
    NameRejected,
    NoSpace,
    NotADirectory,
    NotFound,
    NotLoggedIn,
    PermanentReplyError,
    PermissionDenied,
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
    TransientReplyError,
    TruncatedStream,
    TruncatedTransfer,
)

if TYPE_CHECKING:
    from .client import aio as aio
    from .client.aio import AsyncClient
    from .client.api import Client, connect
    from .client.crew import TreeFailure
    from .client.entries import RemoteEntry
    from .client.options import ConnectArguments
    from .client.progress import Progress
    from .client.transfers import TransferReport
    from .client.trees import TreeIncomplete, TreeProgress, TreeReport
    from .tls.policy import TrustPolicy

__all__ = [
    "AccountNeeded",
    "AlreadyExists",
    "AsyncClient",
    "CertificateMismatch",
    "CertificateRejected",
    "Client",
    "ConfigError",
    "ConnectArguments",
    "ConnectionLost",
    "DataLevelRefused",
    "DataTlsRefused",
    "DirectoryNotEmpty",
    "FileUnavailable",
    "HandshakeFailed",
    "IsADirectory",
    "LocalProtocolError",
    "LockgateError",
    "NameRejected",
    "NoSpace",
    "NotADirectory",
    "NotFound",
    "NotLoggedIn",
    "PermanentReplyError",
    "PermissionDenied",
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
    "TransientReplyError",
    "TreeFailure",
    "TreeIncomplete",
    "TreeProgress",
    "TreeReport",
    "TruncatedStream",
    "TruncatedTransfer",
    "TrustPolicy",
    "__version__",
    "aio",
    "connect",
]

_LAZY = {
    "AsyncClient": "client.aio",
    "Client": "client.api",
    "ConnectArguments": "client.options",
    "Progress": "client.progress",
    "RemoteEntry": "client.entries",
    "TransferReport": "client.transfers",
    "TreeFailure": "client.crew",
    "TreeIncomplete": "client.trees",
    "TreeProgress": "client.trees",
    "TreeReport": "client.trees",
    "TrustPolicy": "tls.policy",
    "connect": "client.api",
}
"""Which module a name comes from."""


def __getattr__(name: str) -> object:
    if name == "aio":
        found: object = importlib.import_module("lockgate.client.aio")
    elif name in _LAZY:
        found = getattr(importlib.import_module(f"lockgate.{_LAZY[name]}"), name)
    else:
        raise AttributeError(f"module 'lockgate' has no attribute {name!r}")
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
