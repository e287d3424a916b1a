"""`[tls]`, `[[certificate]]` and the TLS keys of listeners: what they mean, and what must agree."""

from __future__ import annotations

import datetime
import ssl
from pathlib import Path

import pytest
from revocation import holder, revocation_list

from lockgate.errors import ConfigError
from lockgate.server.config import Config, load_config
from lockgate.server.config.tls_remarks import tls_remarks
from lockgate.tls.contexts import ServerContexts
from lockgate.tls.devcert import CertificateAuthority
from lockgate.tls.policy import ClientCertificate, UnknownNames

FIRST = "[[certificate]]\ncertificate = 'first.pem'\nkey = 'first.key'\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    authority = CertificateAuthority()
    authority.write(tmp_path)
    authority.issue_server().write(tmp_path, "server")
    authority.issue_server(["first.example", "*.first.example"]).write(tmp_path, "first")
    (tmp_path / "crl.pem").write_bytes(revocation_list(holder("a CA", ca=True)))
    return tmp_path


def load(folder: Path, text: str) -> Config:
    path = folder / "lockgate.toml"
    path.write_text(text)
    return load_config(path, {})


def refusal(folder: Path, text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load(folder, text)
    return str(caught.value).replace(str(folder / "lockgate.toml"), "F")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[tls]\ncrl = 'crl.pem'\n", "F:2: crl needs client_ca beside it"),
        ("[tls]\nclient_ca = 'ca.pem'\n[[listener]]\ncrl = 'crl.pem'\nclient_ca = ''\n", "F:4: crl needs"),
        ("[tls]\nclient_ca = 'ca.pem'\ncrl = 'none.pem'\n", "F:3: crl: cannot read"),
        (
            "[tls]\nminimum_version = '1.3'\nmaximum_version = '1.2'\n",
            'F:3: maximum_version = "1.2" is below',
        ),
        ("[tls]\nminimum_version = '1.3'\n[[listener]]\nmaximum_version = '1.2'\n", "F:4: maximum_version"),
        (
            "[tls]\nmaximum_version = '1.1'\n",
            'F:2: maximum_version = "1.1" in [tls]: expected "1.2" or "1.3"',
        ),
        ("[tls]\nunknown_names = 'drop'\n", "F:2: unknown_names"),
        ("[[listener]]\nunknown_names = ''\n", "F:2: unknown_names"),
        ("[tls]\nreload_seconds = -1\n", "F:2: reload_seconds = -1"),
        ("[tls]\nexpiry_warning_days = -1\n", "F:2: expiry_warning_days = -1"),
        ("[tls]\ncheck_key_permissions = 'no'\n", "F:2: check_key_permissions"),
        ("[[listener]]\ncertificate = 'first.pem'\n", "certificate is there without key"),
        ("[[listener]]\nkey = 'first.key'\n", "key is there without certificate"),
        ("[[listener]]\ncertificate = 'no.pem'\nkey = 'first.key'\n", "F:2: certificate: cannot read"),
        ("[[certificate]]\ncertificate = 'no.pem'\nkey = 'first.key'\n", "F:2: certificate: cannot read"),
        ("[[certificate]]\ncertificate = 'first.pem'\n", "[[certificate]] number 1 lacks key"),
        ("[certificate]\ncertificate = 'first.pem'\n", "write [[certificate]] with two brackets"),
        (FIRST + "names = 'a.example'\n", "F:4: names"),
        (FIRST + "names = ['a b']\n", 'F:4: names: "a b" is no host name'),
        (FIRST + "names = ['*']\n", 'F:4: names: "*" is no host name'),
        (
            FIRST + "name = ['a']\n",
            'F:4: unknown key "name" in [[certificate]] number 1 (did you mean "names"?)',
        ),
        (
            f"{FIRST}names = ['A.example']\n{FIRST}names = ['b.example', 'a.example.']\n",
            'F:8: [[certificate]] number 1 already serves "a.example"',
        ),
        (
            "[[listener]]\nclient_ca = 'ca.pem'\n[[listener]]\nport = 1\nclient_certificate = 'required'\n",
            'F:5: client_certificate = "required" needs client_ca',
        ),
    ],
)
def test_a_mistake_is_told_with_its_line_and_its_remedy(folder: Path, text: str, told: str) -> None:
    assert told in refusal(folder, text)


def test_a_listeners_own_keys_are_laid_over_those_of_tls(folder: Path) -> None:
    config = load(
        folder,
        "[tls]\nclient_ca = 'ca.pem'\ncrl = 'crl.pem'\nminimum_version = '1.3'\n"
        "[[listener]]\n"
        "[[listener]]\nport = 1\ncertificate = 'first.pem'\nkey = 'first.key'\nminimum_version = '1.2'\n"
        "maximum_version = '1.2'\nciphers = 'ECDHE+AESGCM'\nunknown_names = 'refuse'\n"
        "[[listener]]\nport = 2\nclient_ca = ''\n"
        "[[listener]]\nport = 3\nclient_ca = 'first.pem'\n",
    )
    plain, own, without, other = (config.tls_policy(one) for one in config.listeners)
    assert plain is not None
    assert own is not None
    assert without is not None
    assert other is not None
    assert (plain.certificate, plain.minimum_version) == (folder / "server.pem", "1.3")
    assert plain.maximum_version is None
    assert (own.certificate, own.key) == (folder / "first.pem", folder / "first.key")
    assert (own.minimum_version, own.maximum_version, own.ciphers) == ("1.2", "1.2", "ECDHE+AESGCM")
    assert (own.client_ca, own.crl) == (folder / "ca.pem", folder / "crl.pem")
    assert (without.client_ca, without.crl) == (None, None)
    assert without.client_certificate is ClientCertificate.OFF
    assert (other.client_ca, other.crl) == (folder / "first.pem", None)
    assert plain.check_key_permissions
    assert (plain.unknown_names, own.unknown_names) == (UnknownNames.SERVE, UnknownNames.REFUSE)


def test_the_default_certificate_need_not_be_there_where_every_listener_has_its_own(folder: Path) -> None:
    (folder / "server.pem").unlink()
    own = "[[listener]]\ncertificate = 'first.pem'\nkey = 'first.key'\n"
    assert load(folder, own).served_certificates() == (folder / "first.pem",)
    told = refusal(folder, f"{own}[[listener]]\nport = 1\n")
    assert "F:4: certificate: cannot read" in told
    assert 'write certificate = "..." in [tls] for another file' in told


@pytest.mark.requirement("RTLS-b", "RTLS-c", side="S")
@pytest.mark.parametrize(
    "ciphers", ["ALL:COMPLEMENTOFALL:@SECLEVEL=0", "aNULL:eNULL:AES128-SHA:ECDHE+AESGCM"]
)
def test_a_listeners_ciphers_allow_nothing_that_is_never_safe(folder: Path, ciphers: str) -> None:
    config = load(folder, f"[[listener]]\nciphers = '{ciphers}'\n")
    policy = config.tls_policy(config.listeners[0])
    assert policy
    found = ServerContexts(policy).for_control().context.get_ciphers()
    assert found
    for suite in found:
        assert suite["protocol"] == "TLSv1.3" or {suite["kea"], suite["auth"]} & {"kx-ecdhe", "kx-dhe"}, (
            suite["name"]
        )
        assert "NULL" not in suite["name"]
        assert suite["auth"] != "auth-null"


def test_versions_of_each_listener_stand_on_its_contexts(folder: Path) -> None:
    config = load(
        folder, "[[listener]]\nmaximum_version = '1.2'\n[[listener]]\nport = 1\nminimum_version = '1.3'\n"
    )
    found = [
        ServerContexts(policy).for_control().context
        for one in config.listeners
        if (policy := config.tls_policy(one))
    ]
    assert found[0].maximum_version is ssl.TLSVersion.TLSv1_2
    assert found[1].minimum_version is ssl.TLSVersion.TLSv1_3


# --- what is worth a warning ---


def later(days: float) -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=days)


@pytest.mark.parametrize(
    ("days", "words"),
    [
        (0, None),
        (59, None),
        (60.5, "expires in 29 days"),
        (88.5, "expires in 1 day,"),
        (89.5, "expires in 0 days"),
        (91, "EXPIRED on"),
        (-3, "is not valid before"),
    ],
)
def test_a_certificate_that_ends_within_the_days_is_told(
    folder: Path, days: float, words: str | None
) -> None:
    found = tls_remarks(load(folder, ""), later(days))
    assert len(found) == (words is not None)
    assert words is None or words in found[0]


def test_every_certificate_ca_and_list_is_looked_at(folder: Path) -> None:
    config = load(folder, f"[tls]\nclient_ca = 'ca.pem'\ncrl = 'crl.pem'\nexpiry_warning_days = 5\n{FIRST}")
    assert tls_remarks(config, later(10)) == ()
    found = "\n".join(tls_remarks(config, later(2000)))
    assert found.count("EXPIRED") == 4
    for name in ("server.pem", "first.pem", "ca.pem", "crl.pem"):
        assert f"in {folder / name} EXPIRED" in found
    assert "the clients' CA CN=Lockgate test CA" in found
    assert "the revocation list of CN=a CA" in found


@pytest.mark.parametrize(("lifetime", "passed", "is_told"), [(7, 4, False), (7, 6, True), (300, 240, False)])
def test_a_list_that_is_renewed_often_is_told_when_a_third_is_left(
    folder: Path, lifetime: int, passed: int, is_told: bool
) -> None:
    (folder / "crl.pem").write_bytes(revocation_list(holder("a CA", ca=True), days=lifetime))
    days = 400 if lifetime < 100 else 30
    config = load(folder, f"[tls]\nclient_ca = 'ca.pem'\ncrl = 'crl.pem'\nexpiry_warning_days = {days}\n")
    found = [one for one in tls_remarks(config, later(passed)) if "revocation list" in one]
    assert bool(found) == is_told


def test_a_name_that_its_certificate_does_not_have_is_told(folder: Path) -> None:
    config = load(
        folder, f"{FIRST}names = ['first.example', 'a.first.example', 'else.example', '*.else.example']\n"
    )
    found = tls_remarks(config)
    assert len(found) == 2
    assert 'is not for "else.example"' in found[0]
    assert 'is not for "*.else.example"' in found[1]


def test_a_key_that_its_group_can_read_is_told_where_root_owns_it(folder: Path) -> None:
    key = folder / "server.key"
    key.chmod(0o640)
    if key.stat().st_uid == 0:
        assert "mode 0640" in tls_remarks(load(folder, ""))[0]
    assert tls_remarks(load(folder, "[tls]\ncheck_key_permissions = false\n")) == ()


def test_files_that_cannot_be_read_are_left_to_those_who_load_them(folder: Path) -> None:
    config = load(folder, FIRST + "names = ['first.example']\n")
    (folder / "first.pem").write_text("rubbish")
    assert tls_remarks(config) == ()


def test_nothing_is_told_of_files_that_no_listener_uses(folder: Path) -> None:
    text = f"{FIRST}[[listener]]\ntls = 'none'\ncontrol = 'optional'\ndata = 'optional'\n"
    assert tls_remarks(load(folder, text), later(2000)) == ()
