"""What the server refuses is told to the operator, once, with the cause that the client is not told."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest
from live_server import PASSWORD, LiveServer, authority, cheap_hash
from log_lines import Told, the_one
from raw_client import RawClient, client_context
from tls_bytes import forgiving
from waiting import until

Connect = Callable[..., RawClient]
Start = Callable[..., LiveServer]


def test_an_upload_of_a_read_only_account_names_the_permission_that_lacks(
    start: Start, connect: Connect, told: Told
) -> None:
    client = connect(start(account='permissions = "read list"'))
    client.log_in()
    client.passive()
    client.expect("STOR x.bin", 550)
    line = the_one(told("transfer-refused"), peer="127.0.0.1", user="alice", verb="STOR", path="/x.bin")
    assert (line["reply"], line["reason"]) == ("550", 'the account lacks the permission "write"')


@pytest.mark.parametrize(
    "line", ["DELE a", "RMD a", "MKD b", "RNFR a", "MFMT 20260101000000 a", "SITE CHMOD 600 a"]
)
def test_a_change_that_the_account_may_not_make_is_told(
    line: str, start: Start, connect: Connect, told: Told
) -> None:
    server = start(account='permissions = "read list"')
    (server.root / "a").touch()
    client = connect(server)
    client.log_in()
    client.expect(line, 550)
    fields = the_one(told("file-refused"), user="alice", verb=line.split(maxsplit=1)[0], reply="550")
    assert "lacks the permission" in fields["reason"]
    assert fields.get("path", fields.get("argument", "")).endswith(line.rsplit(maxsplit=1)[-1])


def test_a_level_that_a_rule_refuses_is_told_with_the_gates_name(
    start: Start, connect: Connect, told: Told
) -> None:
    client = connect(start(policy='data = "optional"\n[[rule]]\npath = "/in"\ndata = "required"'))
    client.log_in(protect=False)
    client.expect("EPSV", 229)
    client.expect("STOR in/x.bin", 521)
    line = the_one(told("transfer-refused"), verb="STOR", path="/in/x.bin", reply="521")
    assert line["gate"] == "data-level-too-low"
    assert "PROT P" in line["reason"]


def test_a_hidden_name_is_told(start: Start, connect: Connect, told: Told) -> None:
    client = connect(start(files='hidden = ["*.tmp"]'))
    client.log_in()
    client.expect("EPSV", 229)
    client.expect("STOR ü.tmp", 553)
    the_one(told("transfer-refused"), path="/ü.tmp", reply="553")


def test_a_full_home_is_told(start: Start, connect: Connect, told: Told) -> None:
    server = start(quota="quota_bytes = 10")
    (server.root / "full").write_bytes(b"x" * 20)
    client = connect(server)
    client.log_in()
    client.expect("EPSV", 229)
    until(lambda: client.command("STOR x.bin").code == 552)
    assert told("transfer-refused")[-1]["reply"] == "552"
    client.expect("ALLO 1000", 552)
    the_one(told("file-refused"), verb="ALLO", argument="1000")


def test_a_second_writer_in_place_is_told(start: Start, connect: Connect, told: Told) -> None:
    server = start(files='uploads = "in-place"')
    first, second = connect(server), connect(server)
    for one in (first, second):
        one.log_in()
        one.expect("EPSV", 229)
    first.expect("STOR x.bin", 150)
    second.expect("STOR x.bin", 450)
    line = the_one(told("transfer-refused"), verb="STOR", path="/x.bin", reply="450")
    assert line["reason"] == "somebody else is writing to the file"


def test_what_the_file_system_refuses_is_told_in_its_words(
    start: Start, connect: Connect, told: Told
) -> None:
    server = start()
    client = connect(server)
    client.log_in()
    client.expect("EPSV", 229)
    client.expect(f"STOR {'x' * 300}", 553)
    line = the_one(told("transfer-refused"), reply="553")
    assert line["errno"].startswith("ENAMETOOLONG (")
    client.expect(f"CWD {'x' * 300}", 553)
    the_one(told("file-refused"), verb="CWD", reply="553")


def test_a_home_that_the_servers_user_cannot_write_is_told_with_the_systems_name_for_it(
    start: Start, connect: Connect, told: Told
) -> None:
    # There nobody makes files, root neither.
    home = f'password_hash = "{cheap_hash("x")}"\nhome = "/sys/class"'
    server = start(more_accounts=f'[[account]]\nname = "device"\n{home}')
    client = connect(server)
    client.log_in("device", "x")
    client.expect("EPSV", 229)
    client.expect("STOR x.bin", 550)
    line = the_one(told("transfer-refused"), user="device", path="/x.bin", reply="550")
    assert line["errno"] in ("EACCES (Permission denied)", "EROFS (Read-only file system)")


def test_what_is_not_there_is_told_with_v_only(
    start: Start, connect: Connect, told: Told, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    client = connect(start())
    client.log_in()
    client.expect("MKD there", 257)
    for line in ("SIZE no", "CWD no", "MDTM no", "DELE no", "RNFR no", "MKD there"):
        client.expect(line, 550)
    client.expect("EPSV", 229)
    for line in ("RETR no", "LIST no/no", "RETR there"):
        client.expect(line, 550)
    assert not told("file-refused") + told("transfer-refused")
    assert caplog.text.count("lockgate.server.refusallog") == 9


def test_an_upload_into_a_directory_that_is_not_there_is_told(
    start: Start, connect: Connect, told: Told
) -> None:
    client = connect(start())
    client.log_in()
    client.expect("EPSV", 229)
    client.expect("STOR no/x.bin", 550)
    the_one(told("transfer-refused"), path="/no/x.bin", reason="no such file or directory")
    client.expect("MKD a", 257)
    client.expect("RNFR a", 350)
    client.expect("RNTO no/a", 550)
    the_one(told("file-refused"), path="/no/a", source="/a")


def test_a_login_in_clear_is_told_and_no_password(start: Start, connect: Connect, told: Told) -> None:
    client = connect(start())
    client.expect("USER alice", 530)
    client.expect("PASS secret", 530)
    line = the_one(told("login-refused"), peer="127.0.0.1", user="alice")
    assert "in clear" in line["reason"]


EXPLICIT = '[[listener]]\naddress = "127.0.0.1"\nport = 0\ntls = "explicit"\n'
FORBIDDEN = 'control = "forbidden"\ndata = "forbidden"\n'


@pytest.mark.parametrize(
    ("line", "code", "listeners"),
    [
        ("AUTH KERBEROS_V4", 504, EXPLICIT),
        ("AUTH TLS", 534, EXPLICIT + FORBIDDEN),
        ("AUTH TLS", 431, EXPLICIT.replace("explicit", "none") + 'control = "optional"\ndata = "optional"'),
    ],
)
def test_an_auth_that_is_refused_is_told(
    line: str, code: int, listeners: str, start: Start, told: Told
) -> None:
    server = start(listeners=listeners)
    with RawClient(server.host, server.port or server.clear_port) as client:
        client.expect(line, code)
    the_one(told("auth-refused"), mechanism=line.split(maxsplit=1)[1], reply=str(code))


NO_PASSWORD = '[[account]]\nname = "nopass"\nhome = "nopass"\ncertificate_subject = "CN=nopass"\n'
CERTAIN = f"""[[account]]
name = "certain"
home = "certain"
password_hash = "{cheap_hash("x")}"
certificate_subject = "CN=certain"
client_certificate = "required"
"""
MODERN = f"""[[account]]
name = "modern"
home = "modern"
password_hash = "{cheap_hash("x")}"
acceptable_ciphers = ["TLS_CHACHA20_POLY1305_SHA256"]
"""


def test_the_operator_is_told_why_a_login_failed_and_the_client_is_not(start: Start, told: Told) -> None:
    server = forgiving(
        start(
            tls='client_ca = "ca.pem"',
            limits="login_attempts = 100\nlockout_failures_per_account = 3",
            more_accounts=NO_PASSWORD + 'client_certificate = "sufficient"\n' + CERTAIN + MODERN,
        )
    )
    context = client_context(server.ca_file, version="1.2")
    said = set()
    with RawClient(server.host, server.port, context=context) as client:
        client.auth()
        for user, password in TRIED:
            client.expect(f"USER {user}", 331)
            said.add(client.expect(f"PASS {password}", 530))
    assert len(said) == 1
    until(lambda: len(told("login-failed")) == len(TRIED))
    assert [line["reason"] for line in told("login-failed")] == list(TRIED.values())


TRIED = {
    ("nobody", "x"): "no such user",
    ("alice", "1"): "wrong password",
    ("nopass", "x"): "the account has no password, and no certificate was shown",
    ("certain", "x"): "no certificate was shown",
    ("modern", "x"): "this cipher suite is not accepted",
    ("alice", "2"): "wrong password",
    ("alice", "3"): "wrong password",
    ("alice", PASSWORD): "the name is locked out, so the password was not looked at",
}


def test_a_certificate_that_does_not_fit_is_told_of_a_failed_login(start: Start, told: Told) -> None:
    server = forgiving(start(tls='client_ca = "ca.pem"', more_accounts=CERTAIN))
    authority().issue_client("CN=other").write(server.work, "other")
    shown = (server.work / "other.pem", server.work / "other.key")
    with RawClient(
        server.host, server.port, context=client_context(server.ca_file, certificate=shown)
    ) as client:
        client.auth()
        client.expect("USER certain", 331)
        client.expect("PASS x", 530)
    until(lambda: told("login-failed"))
    the_one(told("login-failed"), user="certain", reason="the certificate does not fit the account")
