"""Reading a configuration file and what the server asks of it."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from lockgate.accounts.base import Permission
from lockgate.accounts.conformance import CHEAP
from lockgate.accounts.passwords import hash_password
from lockgate.errors import ConfigError
from lockgate.server.config import (
    EXAMPLE,
    AccountConfig,
    AccountSourceConfig,
    ActiveConfig,
    CertificateConfig,
    CertificateRule,
    ClearCommandChannel,
    Config,
    FeaturesConfig,
    FilesConfig,
    LimitsConfig,
    ListenerConfig,
    ListenerTls,
    PassiveConfig,
    PasswordsConfig,
    PolicyConfig,
    Protection,
    QuotaConfig,
    RuleConfig,
    RuleDirection,
    SessionReuseRule,
    TlsConfig,
    accounts,
    embedded_config,
    load_config,
    remarks,
)
from lockgate.server.config.accounts import CERTIFICATE_KEYS
from lockgate.server.config.fields import Section
from lockgate.server.config.files import FILE_KEYS
from lockgate.server.config.policy import POLICY_KEYS
from lockgate.server.config.rates import ALLOWANCE_KEYS
from lockgate.server.config.tls import TLS_OVERRIDES
from lockgate.tls.acceptance import Acceptance
from lockgate.tls.policy import ClientCertificate, SessionReuse

HASH = hash_password("open", CHEAP)
ACCOUNT = f'[[account]]\nname = "alice"\nhome = "a"\npassword_hash = "{HASH}"\n'
SECTIONS: dict[str, type[Section]] = {
    "tls": TlsConfig,
    "policy": PolicyConfig,
    "passive": PassiveConfig,
    "active": ActiveConfig,
    "features": FeaturesConfig,
    "limits": LimitsConfig,
    "quota": QuotaConfig,
    "files": FilesConfig,
    "passwords": PasswordsConfig,
    "accounts": AccountSourceConfig,
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("server.pem", "server.key", "ca.pem"):
        (tmp_path / name).touch()
    return tmp_path


def load(folder: Path, text: str, **environ: str) -> Config:
    path = folder / "lockgate.toml"
    path.write_text(text, encoding="utf-8")
    return load_config(path, environ)


# The example


def test_the_example_is_a_valid_configuration(folder: Path) -> None:
    config = load(folder, EXAMPLE)
    assert [listener.tls for listener in config.listeners] == [ListenerTls.EXPLICIT, ListenerTls.IMPLICIT]
    assert remarks(config) == ()


def test_the_example_shows_every_key() -> None:
    shown = tomllib.loads(EXAMPLE)
    for name, kind in SECTIONS.items():
        assert set(shown.pop(name)) == set(kind.model_fields), name
    own = {"listener": ListenerConfig, "account": AccountConfig}
    for name, kind in own.items():
        shared = {*POLICY_KEYS, *FILE_KEYS, *TLS_OVERRIDES, *ALLOWANCE_KEYS}
        assert set(shown.pop(name)[0]) == set(kind.model_fields) - shared, name
    assert shown == {}
    certificate = EXAMPLE.partition("# [[certificate]]")[2]
    assert all(f"\n# {key} = " in certificate for key in CertificateConfig.model_fields)


def test_the_example_shows_the_defaults(folder: Path) -> None:
    config, empty = load(folder, EXAMPLE), load(folder, "")
    for name in (
        "tls",
        "policy",
        "passive",
        "active",
        "features",
        "limits",
        "quota",
        "files",
        "passwords",
        "account_source",
    ):
        assert getattr(config, name) == getattr(empty, name), name
    assert config.listeners[:1] == empty.listeners
    assert config.accounts[0].permissions == AccountConfig(name="x", home=Path("x")).permissions


def test_no_known_password_opens_the_example_account(folder: Path) -> None:
    store = accounts(load(folder, EXAMPLE))
    for password in ("", "change me", "alice", "password"):
        assert store.check_password("alice", password) is None


# Defaults and values


def test_an_empty_file_is_safe(folder: Path) -> None:
    config = load(folder, "")
    assert config.listeners == (ListenerConfig(address="127.0.0.1", port=2121, tls=ListenerTls.EXPLICIT),)
    policy = config.policy_for(config.listeners[0])
    assert policy.control is Protection.REQUIRED
    assert policy.data is Protection.REQUIRED
    assert policy.session_reuse is SessionReuseRule.AUTO
    assert policy.require_close_notify is True
    assert policy.client_certificate is CertificateRule.OFF
    assert policy.clear_command_channel is ClearCommandChannel.OFF
    assert policy.legacy_auth is True
    assert config.tls.minimum_version == "1.2"
    assert [one.message for one in remarks(config)] == ["there is no [[account]]: nobody can log in"]


def test_the_limits_have_their_documented_defaults(folder: Path) -> None:
    assert load(folder, "").limits.model_dump() == {
        "sessions": 10000,
        "sessions_per_address": 100,
        "transfers": 1000,
        "idle_seconds": 300,
        "login_seconds": 60,
        "handshake_seconds": 15,
        "data_open_seconds": 30,
        "stall_seconds": 120,
        "drain_seconds": 30,
        "login_attempts": 3,
        "upload_rate": 0,
        "download_rate": 0,
        "session_upload_rate": 0,
        "session_download_rate": 0,
        "lockout_failures_per_address": 50,
        "lockout_failures_per_account": 20,
        "lockout_seconds": 900,
        "sessions_before_login": 1000,
        "sessions_per_account": 0,
        "connections_per_minute": 3000,
        "stall_bytes": 1024,
    }


def test_paths_start_from_the_file_and_absolute_ones_stay(folder: Path) -> None:
    config = load(folder, f'[tls]\nkey = "{folder}/server.key"\nclient_ca = "ca.pem"\n' + ACCOUNT)
    assert config.tls.certificate == folder / "server.pem"
    assert config.tls.key == folder / "server.key"
    assert config.tls.client_ca == folder / "ca.pem"
    assert config.accounts[0].home == folder / "a"
    assert config.source == folder / "lockgate.toml"


def test_an_empty_client_ca_is_none(folder: Path) -> None:
    assert load(folder, '[tls]\nclient_ca = ""\n').tls.client_ca is None


def test_a_file_with_a_byte_order_mark_is_read(folder: Path) -> None:
    assert load(folder, "\ufeff[active]\nenabled = false\n").active.enabled is False


@pytest.mark.parametrize("text", ["0", "50000-50100", "50000", "2122-65535"])
def test_a_port_range_is_read(folder: Path, text: str) -> None:
    assert load(folder, f'[passive]\nports = "{text}"\n').passive.ports == text


def test_variables_come_from_the_environment_and_may_be_numbers(folder: Path) -> None:
    config = load(
        folder,
        '[[listener]]\naddress = "${HOST}"\nport = "${PORT}"\n[limits]\nidle_seconds = "${IDLE}"\n'
        '[active]\nenabled = "${ACTIVE}"\n[policy]\ndata = "${DATA}"\n[tls]\nkey = "${DIR}.key"\n',
        HOST="::1",
        PORT="2222",
        IDLE="1.5",
        ACTIVE="false",
        DATA="optional",
        DIR="server",
    )
    assert (config.listeners[0].address, config.listeners[0].port) == ("::1", 2222)
    assert config.limits.idle_seconds == 1.5
    assert config.active.enabled is False
    assert config.policy.data is Protection.OPTIONAL
    assert config.tls.key == folder / "server.key"


def test_the_process_environment_is_the_default(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCKGATE_TEST_PORT", "2345")
    path = folder / "lockgate.toml"
    path.write_text('[[listener]]\nport = "${LOCKGATE_TEST_PORT}"\n')
    assert load_config(path).listeners[0].port == 2345


def test_a_configuration_cannot_be_changed(folder: Path) -> None:
    config = load(folder, "")
    for section, key, value in ((config, "policy", None), (config.policy, "control", "optional")):
        with pytest.raises(ValidationError):
            setattr(section, key, value)


# Policies


def test_the_account_goes_before_the_listener_and_the_listener_before_the_policy(folder: Path) -> None:
    config = load(
        folder,
        "[policy]\nrequire_close_notify = false\nlegacy_auth = false\n"
        '[[listener]]\nport = 1\n[[listener]]\nport = 2\ndata = "optional"\nlegacy_auth = true\n'
        + ACCOUNT
        + 'data = "forbidden"\nsession_reuse = "off"\n',
    )
    first, second = config.listeners
    (alice,) = config.accounts
    assert config.policy_for(first) == config.policy
    assert config.policy_for(second).data is Protection.OPTIONAL
    assert config.policy_for(second).legacy_auth is True
    assert config.policy_for(second).require_close_notify is False
    for account in (alice, accounts(config).find("alice")):
        merged = config.policy_for(second, account)
        assert merged.data is Protection.FORBIDDEN
        assert merged.session_reuse is SessionReuseRule.OFF
        assert merged.legacy_auth is True
        assert merged.control is Protection.REQUIRED


@pytest.mark.parametrize("table", ["[[listener]]\n", ACCOUNT])
def test_every_policy_key_may_stand_in_a_listener_and_in_an_account(folder: Path, table: str) -> None:
    text = (
        'control = "optional"\ndata = "optional"\nsession_reuse = "required"\nrequire_close_notify = false\n'
        'client_certificate = "optional"\nclear_command_channel = "after-login"\nlegacy_auth = false\n'
        'acceptable_tls_version = "1.3"\nacceptable_ciphers = ["TLS_AES_256_GCM_SHA384"]\n'
    )
    config = load(folder, '[tls]\nclient_ca = "ca.pem"\n' + table + text)
    account = config.accounts[0] if config.accounts else None
    merged = config.policy_for(config.listeners[0], account)
    assert merged.model_dump(mode="json") == tomllib.loads(text)
    assert merged.acceptance() == Acceptance("1.3", ("TLS_AES_256_GCM_SHA384",))


def test_false_overrides_true(folder: Path) -> None:
    config = load(folder, ACCOUNT + "require_close_notify = false\n")
    assert config.policy_for(config.listeners[0]).require_close_notify is True
    assert config.policy_for(config.listeners[0], config.accounts[0]).require_close_notify is False


# Client certificates at the handshake, before the account is known

ASK = '[tls]\nclient_ca = "ca.pem"\n'


@pytest.mark.parametrize(
    ("text", "expected", "demanded"),
    [
        ("", CertificateRule.OFF, False),
        (ASK, CertificateRule.OPTIONAL, False),
        (ASK + '[policy]\nclient_certificate = "required"\n' + ACCOUNT, CertificateRule.OPTIONAL, True),
        (
            ASK + '[policy]\nclient_certificate = "required"\n' + ACCOUNT + 'client_certificate = "off"\n',
            CertificateRule.OPTIONAL,
            False,
        ),
        (ASK + ACCOUNT + 'client_certificate = "required"\n', CertificateRule.OPTIONAL, False),
        (ASK + '[policy]\nclient_certificate = "sufficient"\n' + ACCOUNT, CertificateRule.OPTIONAL, False),
    ],
)
def test_the_handshake_asks_for_a_certificate_and_its_absence_is_judged_afterwards(
    folder: Path, text: str, expected: CertificateRule, demanded: bool
) -> None:
    config = load(folder, text)
    assert config.demands_certificate(config.listeners[0]) is demanded
    assert config.handshake_certificate(config.listeners[0]) is expected
    policy = config.tls_policy(config.listeners[0])
    assert policy is not None
    assert policy.client_certificate is ClientCertificate(expected.value)


def test_a_listener_with_tls_has_a_tls_policy(folder: Path) -> None:
    config = load(
        folder, '[tls]\nminimum_version = "1.3"\nciphers = "X"\n[[listener]]\nsession_reuse = "off"\n'
    )
    policy = config.tls_policy(config.listeners[0])
    assert policy is not None
    assert (policy.certificate, policy.key) == (folder / "server.pem", folder / "server.key")
    assert (policy.minimum_version, policy.ciphers) == ("1.3", "X")
    assert policy.session_reuse is SessionReuse.OFF


CLEAR = '[[listener]]\ntls = "none"\ncontrol = "optional"\ndata = "optional"\n'


def test_a_clear_listener_has_none_and_is_remarked_on(folder: Path) -> None:
    config = load(folder, ASK + CLEAR + ACCOUNT)
    assert config.tls_policy(config.listeners[0]) is None
    assert config.handshake_certificate(config.listeners[0]) is CertificateRule.OFF
    clear, weak = remarks(config)
    assert clear.message.endswith("may go out in clear on 127.0.0.1 port 2121")
    assert 'hash of "alice" is weaker' in weak.message


def test_without_tls_no_certificate_file_is_needed(tmp_path: Path) -> None:
    assert load(tmp_path, CLEAR).listeners[0].tls is ListenerTls.NONE


# Accounts


def test_accounts_come_out_as_the_store_wants_them(folder: Path) -> None:
    text = ASK + ACCOUNT + 'permissions = "read list"\ncertificate_subject = "CN=alice,O=Example"\n'
    config = load(folder, text + 'client_certificate = "sufficient"\n')
    account = accounts(config).check_password("alice", "open")
    assert account is not None
    assert account.permissions == Permission.READ | Permission.LIST
    assert account.home == folder / "a"
    assert account.certificate_subject == "CN=alice,O=Example"
    assert account.client_certificate is CertificateRule.SUFFICIENT
    assert accounts(config).check_password("alice", "shut") is None


def test_password_hashes_do_not_show_in_the_repr(folder: Path) -> None:
    assert "argon2" not in repr(load(folder, ACCOUNT))


# Embedded


def test_a_server_without_configuration_is_safe_and_has_both_listeners(tmp_path: Path) -> None:
    config = embedded_config(tmp_path, tmp_path / "c", tmp_path / "k", HASH, port=0, implicit_port=0)
    assert [(one.address, one.port, one.tls) for one in config.listeners] == [
        ("127.0.0.1", 0, ListenerTls.EXPLICIT),
        ("127.0.0.1", 0, ListenerTls.IMPLICIT),
    ]
    assert config.policy == PolicyConfig()
    assert config.source is None
    account = accounts(config).check_password("demo", "open")
    assert account is not None
    assert account.home == tmp_path


def test_the_implicit_listener_can_be_left_out(tmp_path: Path) -> None:
    config = embedded_config(tmp_path, tmp_path / "c", tmp_path / "k", HASH, implicit_port=None)
    assert [one.tls for one in config.listeners] == [ListenerTls.EXPLICIT]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"port": 70000}, "65535"),
        ({"host": "no host"}, "address"),
        ({"port": 5, "implicit_port": 5}, "port 5"),
        ({"user": ""}, "name"),
    ],
)
def test_wrong_values_without_configuration_are_config_errors(
    tmp_path: Path, changes: dict[str, Any], expected: str
) -> None:
    with pytest.raises(ConfigError, match=expected) as caught:
        embedded_config(tmp_path, tmp_path / "c", tmp_path / "k", HASH, **changes)
    assert "\n" not in str(caught.value)


# Rules


def test_rules_are_for_every_account_or_for_those_they_name(folder: Path) -> None:
    text = (
        ACCOUNT
        + '[[rule]]\npath = "/pub/"\ndata = "optional"\n'
        + '[[rule]]\npath = "/in"\ndata = "forbidden"\ndirection = "upload"\naccounts = ["alice"]\n'
    )
    config = load(folder, text)
    alice = config.accounts[0].account()
    assert [rule.path for rule in config.rules_for(alice)] == ["/pub", "/in"]
    assert [rule.path for rule in config.rules_for(None)] == ["/pub"]
    assert [rule.direction for rule in config.rules] == [RuleDirection.ANY, RuleDirection.UPLOAD]


def test_the_example_s_rule_is_one(folder: Path) -> None:
    start = EXAMPLE.index("# [[rule]]")
    lines = EXAMPLE[start:].split("\n\n")[0].splitlines()
    table = tomllib.loads("\n".join(line.removeprefix("# ") for line in lines))["rule"][0]
    assert set(table) == set(RuleConfig.model_fields)
    load(folder, ACCOUNT + "\n".join(line.removeprefix("# ") for line in lines))


# Which certificates are an account's own


def test_every_key_of_a_certificate_reaches_the_account(folder: Path) -> None:
    first, second = "AB:" * 31 + "AB", "cd" * 32
    more = (
        'certificate_subject = "CN=alice"\ncertificate_email = "alice@example.com"\n'
        f'certificate_uri = "spiffe://example.com/alice"\ncertificate_fingerprint = ["{first}", "{second}"]\n'
        'client_certificate = "sufficient"\n'
    )
    config = load(folder, ASK + ACCOUNT + more)
    assert config.accounts[0].certificate_keys == CERTIFICATE_KEYS
    alice = config.accounts[0].account()
    assert alice.names_certificate
    assert alice.certificate_email == "alice@example.com"
    assert alice.certificate_uri == "spiffe://example.com/alice"
    assert alice.certificate_fingerprint == ("ab" * 32, "cd" * 32)


def test_one_fingerprint_needs_no_brackets(folder: Path) -> None:
    more = f'certificate_fingerprint = "{"ab" * 32}"\nclient_certificate = "optional"\n'
    config = load(folder, ASK + ACCOUNT + more)
    assert config.accounts[0].account().certificate_fingerprint == ("ab" * 32,)
