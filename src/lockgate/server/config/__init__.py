"""The server's configuration: reading a TOML file, checking it whole, and what the server asks of it.

A file per table of the TOML file; `fields` has what they share, `checks` what must agree across them, `trial`
what is tried on this machine. Nothing here opens a socket for longer than that trial.
"""

from __future__ import annotations

from lockgate.accounts.base import CertificateRule, ClearCommandChannel, Protection, SessionReuseRule

from .accounts import AccountConfig, AccountSourceConfig
from .example import EXAMPLE
from .features import FeaturesConfig
from .files import FileOverrides, FilesConfig, files_for
from .limits import ActiveConfig, LimitsConfig, PassiveConfig
from .listeners import ListenerConfig, ListenerTls
from .passwords import PasswordsConfig
from .policy import PolicyConfig
from .rates import QuotaConfig
from .remarks import remarks, shown_remarks
from .rules import RuleConfig, RuleDirection
from .tls import CertificateConfig, TlsConfig
from .tls_remarks import tls_remarks
from .whole import SIZE_LIMIT_BYTES, Config, accounts, embedded_config, load_config, load_passwords

__all__ = [
    "EXAMPLE",
    "SIZE_LIMIT_BYTES",
    "AccountConfig",
    "AccountSourceConfig",
    "ActiveConfig",
    "CertificateConfig",
    "CertificateRule",
    "ClearCommandChannel",
    "Config",
    "FeaturesConfig",
    "FileOverrides",
    "FilesConfig",
    "LimitsConfig",
    "ListenerConfig",
    "ListenerTls",
    "PassiveConfig",
    "PasswordsConfig",
    "PolicyConfig",
    "Protection",
    "QuotaConfig",
    "RuleConfig",
    "RuleDirection",
    "SessionReuseRule",
    "TlsConfig",
    "accounts",
    "embedded_config",
    "files_for",
    "load_config",
    "load_passwords",
    "remarks",
    "shown_remarks",
    "tls_remarks",
]
