"""What a wrong configuration is told: the line, what was expected, the remedy."""

from __future__ import annotations

from pathlib import Path

import pytest

from lockgate.accounts.conformance import CHEAP
from lockgate.accounts.passwords import hash_password
from lockgate.errors import ConfigError
from lockgate.server.config import AccountConfig, Config, ListenerConfig, ListenerTls, load_config

HASH = hash_password("open", CHEAP)
CA = '[tls]\nclient_ca = "ca.pem"\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("server.pem", "server.key", "ca.pem"):
        (tmp_path / name).touch()
    return tmp_path


def refusal(folder: Path, text: str | bytes, **environ: str) -> str:
    path = folder / "f.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ConfigError) as caught:
        load_config(path, environ)
    return str(caught.value).replace(str(path), "F")


def account(name: str = "alice", more: str = "", password_hash: str = HASH) -> str:
    return f'[[account]]\nname = "{name}"\nhome = "a"\npassword_hash = "{password_hash}"\n{more}\n'


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        # Unknown keys
        ("[policy]\ncontroll = 'x'", 2, ('"controll"', 'did you mean "control"', "[policy]")),
        ("[limits]\nidle = 3", 2, ('"idle"', 'did you mean "idle_seconds"')),
        ("\n[listner]\nport = 1", 2, ('"listner"', 'did you mean "listener"')),
        ("[[listener]]\nbind = 'x'", 2, ('"bind"', "address, port, tls, control")),
        ("[tls]\n\n  zzz = 1", 3, ('"zzz"', "known there: certificate")),
        ("port = 1", 1, ('"port"', "[[listener]]")),
        # Wrong types
        ("[[listener]]\nport = '2121'", 2, ('port = "2121"', "a whole number", "port = 2121")),
        ("[[listener]]\nport = true", 2, ("port = true", "a whole number")),
        ("[limits]\nsessions = 1.5", 2, ("sessions = 1.5", "a whole number", "sessions = 10000")),
        ("[limits]\nidle_seconds = 'x'", 2, ("a number of seconds", "idle_seconds = 300")),
        ("[limits]\nidle_seconds = nan", 2, ("a number",)),
        ("[limits]\nidle_seconds = inf", 2, ("a number",)),
        ("[active]\nenabled = 1", 2, ("true or false", "enabled = true")),
        ("[tls]\nciphers = 1", 2, ("text in quotes",)),
        ("[tls]\nkey = ['x']", 2, ("key = [...]",)),
        ("[tls]\nkey = ''", 2, ("path",)),
        ("[tls]\nkey = {}", 2, ("key = {...}",)),
        ("[policy]\ndata = 5", 2, ('"required"', '"optional"', '"forbidden"')),
        # Wrong values
        ("[policy]\ndata = 'requird'", 2, ('did you mean "required"', 'data = "required"')),
        ("[[listener]]\ntls = 'none '", 2, ('did you mean "none"',)),
        ("[[listener]]\nport = 65536", 2, ("65535 at most",)),
        ("[[listener]]\nport = -1", 2, ("0 or more",)),
        ("[[listener]]\naddress = 'a b'", 2, ("an IP address or a host name",)),
        ("[limits]\nsessions = 0", 2, ("1 or more",)),
        ("[limits]\nidle_seconds = 0", 2, ("above 0",)),
        ("[tls]\nminimum_version = '1.1'", 2, ('"1.2" or "1.3"',)),
        ("[passive]\nports = '50100-50000'", 2, ("50000-50100",)),
        ("[passive]\nports = '0-5'", 2, ("from 1 to 65535",)),
        ("[passive]\nports = '1-65536'", 2, ("from 1 to 65535",)),
        ("[passive]\nports = 'all'", 2, ("from 1 to 65535",)),
        ("[passive]\naddress = '::1'", 2, ("IPv4", "227")),
        ("[passive]\naddress = 'example.com'", 2, ("IPv4",)),
        ("[accounts]\ndatabase = 'sqlite://'", 2, ("not supported by this version", "[[account]]")),
        # Accounts
        ("[[account]]\nname = 'a'", 1, ("lacks home", "home = ")),
        ("[[account]]\nhome = 'a'", 1, ("lacks name", 'name = "alice"')),
        (account(name=""), 2, ("empty",)),
        (account(name=" x"), 2, ("space",)),
        (account(more="permissions = 'read fly'"), 5, ('"fly"', "read write delete")),
        (account(more="permissions = ['read']"), 5, ("permissions",)),
        (account(more="certificate_subject = 'alice'"), 5, ("RFC 4514",)),
        (account(more="certificate_email = 'alice'"), 5, ("alice@example.com",)),
        (account(more="certificate_uri = 'alice'"), 5, ("spiffe://",)),
        (account(more="certificate_fingerprint = 'ab'"), 5, ("64 hexadecimal digits",)),
        (account(more="certificate_fingerprint = ['ab:cd']"), 5, ("64 hexadecimal digits",)),
        (account(more="certificate_fingerprint = 5"), 5, ("a list in brackets",)),
        (account(more="certificate_email = 'a@b'"), 5, ("certificate_email needs client_ca",)),
        (
            CA + account(password_hash="", more="certificate_email = 'a@b'"),
            7,
            ("a certificate alone does not suffice",),
        ),
        ("[policy]\nacceptable_tls_version = '1.1'", 2, ('"1.2" or "1.3"',)),
        (
            "[policy]\nacceptable_ciphers = ['TLS_AES_256_GCM_SHA348']",
            2,
            ('did you mean "TLS_AES_256_GCM_SHA384"', "openssl ciphers"),
        ),
        ("[[listener]]\nport = 1\nacceptable_ciphers = 'x'", 3, ("a list in brackets",)),
        # An account that no listener lets in
        (account(more="control = 'forbidden'\ndata = 'optional'"), 5, ("out of every [[listener]]",)),
        (
            "[policy]\ncontrol = 'optional'\ndata = 'optional'\n[[listener]]\ntls = 'none'\n"
            + account(more="control = 'required'"),
            10,
            ("out of every [[listener]]",),
        ),
        (account() + account("bob") + account(), 12, ('number 1 already has the name "alice"',)),
        ("[[account]]\nname = 'x'\nhome = 'x'", 1, ("neither password_hash nor", "lockgate account hash")),
        (
            account(more="client_certificate = 'sufficient'") + CA,
            5,
            ("needs certificate_subject", "CN=alice"),
        ),
        # Rules
        ("[[rule]]\ndata = 'required'", 1, ("lacks path", 'path = "/in"')),
        ("[[rule]]\npath = '/in'", 1, ("lacks data", 'data = "required"')),
        ("[[rule]]\npath = 'in'\ndata = 'required'", 2, ('"in"', 'from the root "/"', '"/in"')),
        ("[[rule]]\npath = '/a/../b'\ndata = 'required'", 2, ('"/b"',)),
        ("[[rule]]\npath = '/in'\ndata = 'yes'", 3, ('"required"', '"optional"')),
        ("[[rule]]\npath = '/in'\ndata = 'optional'\ndirection = 'up'", 4, ('did you mean "upload"',)),
        ("[[rule]]\npath = '/in'\ndata = 'optional'\naccounts = 'alice'", 4, ("a list in brackets",)),
        ("[[rule]]\npath = '/in'\ndata = 'optional'\naccounts = []", 4, ("leave accounts out",)),
        (
            account() + "[[rule]]\npath = '/in'\ndata = 'optional'\naccounts = ['alise']",
            9,
            ('no [[account]] "alise"',),
        ),
        (
            "[[rule]]\npath = '/in'\ndata = 'optional'\n[[rule]]\npath = '/in/'\ndata = 'required'",
            5,
            ("number 1 already says", "every account"),
        ),
        (
            account(more="control = 'forbidden'\ndata = 'optional'")
            + "[policy]\ncontrol = 'optional'\n[[rule]]\npath = '/in'\ndata = 'required'",
            11,
            ("shuts this path for good", "PROT P"),
        ),
        # Listeners
        ("[[listener]]\nport = 1\n[[listener]]\nport = 1", 4, ("number 1 already has", "another port")),
        ("[[listener]]\n[[listener]]\n", 2, ("port 2121",)),
        ("listener = 5", 1, ("[[listener]]",)),
        ("[listener]\nport = 5", 1, ("[[listener]]", "two brackets")),
        ("tls = 5", 1, ("[tls]",)),
        # TLS files
        ("[tls]\ncertificate = 'nope.pem'", 2, ("nope.pem", "No such file", "chain")),
        ("[tls]\nkey = 'nope.key'", 2, ("nope.key", "private key")),
        ("[tls]\nclient_ca = 'nope'", 2, ("nope", "CA")),
        ("[tls]\ncertificate = '.'", 2, ("directory",)),
        # Variables
        ("[tls]\ncertificate = '${NOPE}'", 2, ("NOPE", "not set")),
        # What makes no sense together
        ("[[listener]]\nport = 1\ntls = 'none'\ndata = 'optional'", 3, ('control = "optional"', "in words")),
        ("[[listener]]\nport = 1\ntls = 'none'\ncontrol = 'optional'", 3, ('data = "optional"',)),
        (
            (
                "[policy]\ncontrol = 'optional'\ndata = 'optional'\nclear_command_channel = 'after-login'\n"
                "[[listener]]\ntls = 'none'"
            ),
            6,
            ("clear_command_channel", "no TLS to end"),
        ),
        (
            CA + "[[listener]]\ntls = 'none'\ncontrol = 'optional'\ndata = 'optional'\n"
            "client_certificate = 'required'",
            4,
            ("client_certificate", '"off"'),
        ),
        ("[[listener]]\ntls = 'implicit'\ncontrol = 'forbidden'\ndata = 'optional'", 2, ("every login",)),
        ("[[listener]]\ncontrol = 'forbidden'", 2, ("contradict", "PROT P")),
        (
            CA + "[[listener]]\ncontrol = 'forbidden'\ndata = 'optional'\nclient_certificate = 'required'",
            4,
            ("contradict", "client_certificate"),
        ),
        (account(more="control = 'forbidden'"), 5, ('account "alice"', "contradict")),
        ("[policy]\nclient_certificate = 'required'", 2, ("client_ca",)),
        ("[[listener]]\nclient_certificate = 'optional'", 2, ("client_ca",)),
        (account(more="client_certificate = 'required'"), 5, ("client_ca",)),
        (
            account(more="client_certificate = 'optional'\ncertificate_subject = 'CN=a'")
            + CA.replace("ca.pem", ""),
            6,
            ("certificate_subject needs client_ca",),
        ),
        (CA + account(more="certificate_subject = 'CN=a'"), 7, ("idle", 'client_certificate = "off"')),
        (
            CA + account(password_hash="", more="certificate_subject = 'CN=a'"),
            7,
            ("a certificate alone does not suffice", '"sufficient"'),
        ),
    ],
)
def test_a_mistake_is_told_with_its_line_and_its_remedy(
    folder: Path, text: str, line: int, words: tuple[str, ...]
) -> None:
    told = [one for one in refusal(folder, text).splitlines() if one.startswith(f"F:{line}: ")]
    assert any(all(word in one for word in words) for one in told), refusal(folder, text)


def test_one_mistake_is_told_once(folder: Path) -> None:
    for text in (
        "[policy]\ncontroll = 'x'",
        "[[listener]]\nport = 'x'",
        "[tls]\nkey = 'nope'",
        "[[listener]]\ntls = 'none'\ncontrol = 'optional'",
    ):
        assert len(refusal(folder, text).splitlines()) == 1


def test_all_mistakes_are_told_together_in_the_order_of_the_file(folder: Path) -> None:
    told = refusal(
        folder,
        "[limits]\nsessions = 0\nidle = 1\n[[account]]\nname = 'a'\nhome = 'x'\n"
        "[[listener]]\nport = 1\n[[listener]]\nport = 1\n[tls]\nkey = 'nope'\nciphers = '${NOPE}'\n"
        "[[account]]\nhome = 'x'\n",
    ).splitlines()
    assert [int(one.split(":")[1]) for one in told] == [2, 3, 4, 10, 12, 13, 14]


def test_without_a_policy_that_is_right_nothing_is_said_about_what_depends_on_it(folder: Path) -> None:
    told = refusal(folder, "[policy]\ndata = 'x'\n[[listener]]\ntls = 'none'\n").splitlines()
    assert len(told) == 1


def test_a_password_written_in_place_of_its_hash_is_not_repeated(folder: Path) -> None:
    told = refusal(folder, account(password_hash="hunter2"))
    assert "F:4: " in told
    assert "lockgate account hash" in told
    assert "hunter2" not in told
    assert "hunter2" not in refusal(folder, account().replace(f'"{HASH}"', "['hunter2']"))


def test_a_value_cannot_forge_a_line_of_the_message(folder: Path) -> None:
    told = refusal(folder, '[policy]\n"x\\nF:1: all good" = "y\\nF:2: all good"\ndata = "a\\nb"\n')
    assert len(told.splitlines()) == 2


def test_what_is_no_toml_is_told_with_the_line(folder: Path) -> None:
    told = refusal(folder, "[policy]\ndata = required\n")
    assert told == 'F:2: data = required: text stands in quotes: data = "required"'


def test_what_is_no_utf8_is_told_with_the_line(folder: Path) -> None:
    assert refusal(folder, b"# ok\n# caf\xe9\n").startswith("F:2: not UTF-8")


def test_a_missing_file_is_told_with_the_way_to_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="lockgate config example"):
        load_config(tmp_path / "nope.toml", {})


def test_a_file_that_is_far_too_large_is_not_read_whole(folder: Path) -> None:
    path = folder / "f.toml"
    with path.open("wb") as file:
        file.truncate(1 << 34)
    with pytest.raises(ConfigError, match="larger than"):
        load_config(path, {})


def test_a_configuration_made_in_code_must_agree_too() -> None:
    with pytest.raises(ValueError, match=r'control = "required"'):
        Config(listeners=(ListenerConfig(tls=ListenerTls.NONE),))
    with pytest.raises(ValueError, match="neither password_hash"):
        Config(accounts=(AccountConfig(name="a", home=Path("a")),))
    with pytest.raises(ValueError, match="listeners"):
        Config(listeners=())


def test_ports_that_are_any_may_be_several(folder: Path) -> None:
    path = folder / "f.toml"
    path.write_text("[[listener]]\nport = 0\n[[listener]]\nport = 0\n")
    assert len(load_config(path, {}).listeners) == 2
