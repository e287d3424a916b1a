"""Certificates that change while the server runs: noticed, loaded when they fit; running sessions go on."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import pytest
from live_server import LiveServer, authority
from named_certificates import certificate_table, data_certificate, names_shown, shake_hands
from raw_client import RawClient
from waiting import until

from lockgate.tls.devcert import CertificateAuthority

Connect = Callable[..., RawClient]
OLD, NEW = {"localhost"}, {"localhost", "new.example"}
OFTEN = "reload_seconds = 0.02"
IMPLICIT = pytest.mark.parametrize("implicit", [False, True], ids=["explicit", "implicit"])


def renew(folder: Path, stem: str = "server") -> None:
    authority().issue_server(["new.example", "localhost", "127.0.0.1"]).write(folder, stem)


def shown(server: LiveServer, connect: Connect, name: str | None = None) -> set[str]:
    """Return the names in the certificate that a new session is shown."""
    with RawClient(server.host, server.port, context=connect(server).context) as client:
        client.expect("AUTH TLS", 234)
        return shake_hands(client, name)


def told(caplog: pytest.LogCaptureFixture, words: str) -> int:
    return sum(words in one.getMessage() for one in caplog.records)


@IMPLICIT
def test_a_renewed_certificate_is_shown_to_new_sessions_and_running_ones_keep_theirs(
    start, connect, implicit
):
    server = start(tls=OFTEN, policy='session_reuse = "off"')
    running = connect(server, implicit=implicit).log_in()
    assert names_shown(running.sock) == OLD
    renew(server.work)
    until(lambda: shown(server, connect) == NEW)
    assert data_certificate(running, "localhost") == (OLD, False)
    running.expect("PWD", 257)
    assert names_shown(connect(server, implicit=implicit).log_in().sock) == NEW


def test_a_running_session_goes_on_resuming_after_a_renewal(start, connect):
    server = start(tls=OFTEN, policy='session_reuse = "required"')
    running = connect(server).log_in()
    data_certificate(running, "localhost", session=running.session)
    renew(server.work)
    until(lambda: shown(server, connect) == NEW)
    assert data_certificate(running, "localhost", session=running.session) == (OLD, True)


def test_a_certificate_without_its_key_is_waited_for_in_silence(start, connect, caplog):
    server = start(tls="reload_seconds = 0.3")
    made = authority().issue_server(["new.example", "localhost", "127.0.0.1"])
    (server.work / "server.pem").write_bytes(made.certificate_pem)
    keeper = server.server.certificates
    until(lambda: server.call(lambda: keeper.failed_looks) >= 1)
    assert shown(server, connect) == OLD
    (server.work / "server.key").write_bytes(made.key_pem)
    until(lambda: shown(server, connect) == NEW)
    assert told(caplog, "the old ones stay") == 0


def test_a_certificate_whose_key_never_comes_is_told_once_and_the_old_one_stays(start, connect, caplog):
    caplog.set_level(logging.WARNING, "lockgate.audit")  # the audit log tells the reason too
    server = start(tls=OFTEN)
    made = authority().issue_server(["new.example"])
    (server.work / "server.pem").write_bytes(made.certificate_pem)
    keeper = server.server.certificates
    until(lambda: server.call(lambda: keeper.failed_looks) >= 20)
    assert told(caplog, "the old ones stay") == 1
    assert told(caplog, "does not belong to") == 1
    assert shown(server, connect) == OLD


@pytest.mark.parametrize("broken", ["", "rubbish", None])
def test_a_file_that_is_broken_or_gone_changes_nothing_until_it_is_good(start, connect, broken, caplog):
    server = start(tls=OFTEN)
    file = server.work / "server.key"
    if broken is None:
        file.unlink()
    else:
        file.write_text(broken)
    until(lambda: told(caplog, "the old ones stay") == 1)
    assert shown(server, connect) == OLD
    renew(server.work)
    until(lambda: shown(server, connect) == NEW)


@pytest.mark.parametrize("swap", ["file", "folder"])
def test_a_symbolic_link_that_leads_elsewhere_is_seen(start, connect, swap):
    server = start(tls=OFTEN)
    live, archive = server.work / "live", server.work / "archive"
    for number in (1, 2):
        (archive / str(number)).mkdir(parents=True)
    authority().issue_server().write(archive / "1", "server")
    renew(archive / "2")
    if swap == "folder":
        live.symlink_to(archive / "1")
    else:
        live.mkdir()
        for kind in ("pem", "key"):
            (live / f"server.{kind}").symlink_to(archive / "1" / f"server.{kind}")
    source = server.server.config.source
    text = source.read_text().replace('"server.', '"live/server.')
    source.write_text(text)
    server.call(server.server.reload)
    assert shown(server, connect) == OLD
    if swap == "folder":
        _turn(live, archive / "2")
    else:
        for kind in ("pem", "key"):
            _turn(live / f"server.{kind}", archive / "2" / f"server.{kind}")
    until(lambda: shown(server, connect) == NEW)


def _turn(link: Path, target: Path) -> None:
    """Let a link lead elsewhere in one step, as renewal programs do."""
    beside = link.with_name("beside")
    beside.symlink_to(target)
    beside.rename(link)


def test_further_certificates_are_renewed_too(start, connect, tmp_path):
    server = start(tls=OFTEN, more_accounts=certificate_table(tmp_path, "more", ["more.example"]))
    assert shown(server, connect, "more.example") == {"more.example"}
    authority().issue_server(["more.example", "yet.example"]).write(tmp_path, "more")
    until(lambda: shown(server, connect, "yet.example") == {"more.example", "yet.example"})


def test_a_new_client_ca_is_taken_into_use(start, connect, tmp_path):
    server = start(
        tls=f'{OFTEN}\nclient_ca = "{tmp_path}/clients.pem"' if _write_ca(tmp_path) else "",
        policy='client_certificate = "optional"',
    )
    before = server.call(server.server.tls_contexts)[0].shared.get_ca_certs()
    _write_ca(tmp_path)
    until(lambda: server.call(server.server.tls_contexts)[0].shared.get_ca_certs() != before)


def _write_ca(folder: Path) -> Path:
    return CertificateAuthority("the clients' CA").write(folder, "clients")


def test_0_seconds_leave_the_watch_to_sighup(start, connect):
    server = start(tls="reload_seconds = 0")
    keeper = server.server.certificates
    assert server.call(lambda: keeper._timer) is None
    renew(server.work)
    assert shown(server, connect) == OLD
    server.call(server.server.reload)
    assert shown(server, connect) == NEW


def test_a_reload_changes_all_listeners_or_none(start, connect, caplog):
    server = start(tls="reload_seconds = 0")
    before = [one.shared for one in server.call(server.server.tls_contexts)]
    source = server.server.config.source
    second = source.read_text().rindex('tls = "implicit"')
    text = source.read_text()
    source.write_text(text[:second] + 'ciphers = "NULL"\n' + text[second:])
    server.call(server.server.reload)
    assert told(caplog, "nothing was changed") == 1
    assert [one.shared for one in server.call(server.server.tls_contexts)] == before


def test_an_end_that_is_near_is_logged_at_the_start_at_a_reload_and_in_the_audit_log(start, caplog):
    with caplog.at_level(logging.INFO, "lockgate.audit"):
        server = start(tls=f"{OFTEN}\nexpiry_warning_days = 100")
        until(lambda: told(caplog, "expires in 89 days") >= 1)
        until(lambda: told(caplog, "certificate-ends file=") == 1)
        authority().issue_server(days=-1).write(server.work, "server")
        until(lambda: told(caplog, "EXPIRED on") >= 1)
    assert told(caplog, "days=89") == 1


def test_an_end_that_is_far_is_not_logged(start, caplog):
    server = start()
    server.call(server.server.reload)
    server.drain()
    assert told(caplog, "expires") == told(caplog, "EXPIRED") == 0


def test_the_end_of_a_certificate_is_told_when_it_comes_and_not_a_day_later(start, caplog):
    with caplog.at_level(logging.INFO, "lockgate.audit"):
        server = start(tls=OFTEN)
        until(lambda: told(caplog, "started version=") == 1)
        authority().issue_server(days=3 / 86_400).write(server.work, "server")
        until(lambda: told(caplog, "expires in 0 days") >= 1)
        assert told(caplog, "EXPIRED on") == 0
        until(lambda: any("certificate-ends" in one and "EXPIRED on" in one for one in caplog.messages))
