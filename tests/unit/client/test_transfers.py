"""Transfers as conversations: the order of commands, and the verdict from both connections."""

from __future__ import annotations

from functools import partial

import pytest

from lockgate.client import sessions, transfers
from lockgate.client.conversation import TransferEnd
from lockgate.errors import (
    CannotOpenData,
    CertificateMismatch,
    ConnectionLost,
    DataLevelRefused,
    DataTlsRefused,
    FileUnavailable,
    HandshakeFailed,
    IsADirectory,
    NoSpace,
    NotFound,
    NotLoggedIn,
    ProtectionRefused,
    ReplyError,
    SessionReuseRequired,
    TransferCut,
    TransferTimeout,
    TruncatedStream,
    TruncatedTransfer,
)
from lockgate.protocol.replies import Reply
from lockgate.transfer.outcome import Outcome, OutcomeStatus, failure

PASSIVE = "C: EPSV\nS: 229 ok (|||4000|)\n* OpenData 4000\n"
BINARY = "C: TYPE I\nS: 200 ok\n"


def cut(error: Exception, *, moved: int = 10) -> Outcome:
    return failure(error, bytes_moved=moved)


def download(book, script, path, **more):
    return book.play(transfers.download, script, "/a.bin", path, **more)


def left_in(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_download_sets_the_type_asks_the_size_and_opens_data_before_retr(ready, completed, tmp_path):
    ready.ends = [completed(0)]
    script = BINARY + "C: SIZE /a.bin\nS: 213 0\n" + PASSIVE + "T: RETR /a.bin"
    report = download(ready, script, tmp_path / "a")
    assert report.is_end_verified
    assert report.is_size_verified
    assert left_in(tmp_path) == ["a"]


def test_the_type_is_set_once(ready, completed, tmp_path):
    download(ready, BINARY + PASSIVE + "T: RETR /a.bin", tmp_path / "a", expected_size=0)
    download(ready, PASSIVE + "T: RETR /a.bin", tmp_path / "a", expected_size=0)


@pytest.mark.requirement("RSEC-C-pasv")
def test_after_a_refused_epsv_pasv_is_used_and_its_address_is_not(ready, tmp_path):
    script = (
        BINARY
        + "C: EPSV\nS: 522 no\nC: PASV\nS: 227 ok (203,0,113,9,15,160)\n* OpenData 4000\nT: RETR /a.bin"
    )
    download(ready, script, tmp_path / "a", expected_size=0)
    script = "C: PASV\nS: 227 ok (203,0,113,9,15,160)\n* OpenData 4000\nT: RETR /a.bin"
    download(ready, script, tmp_path / "a", expected_size=0)


@pytest.mark.parametrize(("reply", "error"), [("530 who", NotLoggedIn), ("425 full", CannotOpenData)])
def test_a_refused_epsv_that_is_no_verdict_on_epsv_is_the_error(ready, tmp_path, reply, error):
    with pytest.raises(error):
        download(ready, BINARY + f"C: EPSV\nS: {reply}", tmp_path / "a", expected_size=0)
    assert not ready.peer.refuses_epsv


@pytest.mark.requirement("R1579-a")
def test_active_mode_listens_and_says_port(playbook, tmp_path):
    book = playbook("ftp://alice:secret@server.example", tls="never", active=True, login=False)
    book.play(sessions.establish, "S: 220 Hello")
    script = BINARY + "* Listen\nC: PORT 192,0,2,7,156,64\nS: 200 ok\nT: RETR /a.bin"
    download(book, script, tmp_path / "a", expected_size=0)


@pytest.mark.requirement("R4217-9-k", "R4217-10.4-b")
def test_no_transfer_starts_in_clear_when_protection_was_asked_for(ready, tmp_path):
    ready.play(sessions.protect, "C: PROT C\nS: 200 ok", private=False)
    ready.peer.wants_private = True
    with pytest.raises(ProtectionRefused):
        download(ready, BINARY, tmp_path / "a", expected_size=0)
    with pytest.raises(ProtectionRefused):
        ready.play(transfers.list_directory, "")
    assert left_in(tmp_path) == []


def test_a_missing_file_leaves_nothing_behind(ready, tmp_path):
    ready.ends = [TransferEnd(final=Reply.of(550, "No such file"))]
    with pytest.raises(FileUnavailable):
        download(ready, BINARY + PASSIVE + "T: RETR /a.bin", tmp_path / "a", expected_size=5)
    assert left_in(tmp_path) == []


@pytest.mark.requirement("RTLS-m", "R4217-12.6-b")
def test_a_truncated_download_is_an_error_even_with_226(ready, tmp_path):
    (tmp_path / "a").write_text("old")
    ready.ends = [TransferEnd(outcome=cut(TruncatedStream("cut")), final=Reply.of(226, "Fine"))]
    with pytest.raises(TruncatedTransfer, match="226 Fine"):
        download(ready, BINARY + PASSIVE + "T: RETR /a.bin", tmp_path / "a", expected_size=10)
    assert left_in(tmp_path) == ["a"]
    assert (tmp_path / "a").read_text() == "old"


@pytest.mark.requirement("RTLS-m")
def test_a_truncated_listing_is_an_error(ready):
    ready.ends = [TransferEnd(outcome=cut(TruncatedStream("cut")), final=Reply.of(226, "Fine"))]
    with pytest.raises(TruncatedTransfer):
        ready.play(transfers.list_directory, PASSIVE + "T: MLSD")


@pytest.mark.requirement("R959-C-b")
def test_a_missing_226_is_an_error(ready, completed, tmp_path):
    ready.ends = [completed(0, final=None, error=ConnectionLost("gone"))]
    with pytest.raises(ConnectionLost):
        download(ready, BINARY + PASSIVE + "T: RETR /a.bin", tmp_path / "a", expected_size=0)
    assert left_in(tmp_path) == []


def test_a_426_after_all_the_data_is_an_error(ready, completed, tmp_path):
    ready.ends = [completed(0, final=Reply.of(426, "Cut"))]
    with pytest.raises(TransferCut):
        download(ready, BINARY + PASSIVE + "T: RETR /a.bin", tmp_path / "a", expected_size=0)


def test_fewer_bytes_than_the_server_says_are_an_error(ready, completed, tmp_path):
    ready.ends = [completed(5)]
    script = BINARY + PASSIVE + "T: RETR /a.bin\nC: SIZE /a.bin\nS: 213 9"
    with pytest.raises(TruncatedTransfer, match="5 bytes came"):
        download(ready, script, tmp_path / "a", expected_size=9)
    assert left_in(tmp_path) == []


def test_a_file_that_shrank_meanwhile_is_held_against_its_size_now(ready, completed, tmp_path):
    ready.ends = [completed(5)]
    script = BINARY + PASSIVE + "T: RETR /a.bin\nC: SIZE /a.bin\nS: 213 5"
    assert download(ready, script, tmp_path / "a", expected_size=9).is_size_verified


def test_an_end_without_close_notify_needs_a_size_to_count(playbook, completed, tmp_path):
    book = playbook(login=False, require_close_notify=False)
    book.play(sessions.establish, "S: 220 Hello\nC: AUTH TLS\nS: 234 go\n* StartTls")
    book.play(sessions.protect, "C: PBSZ 0\nS: 200 ok\nC: PROT P\nS: 200 ok", private=True)
    book.ends = [completed(5, outcome=Outcome(OutcomeStatus.COMPLETE, 5, verified_end=False))]
    script = BINARY + "C: SIZE /a.bin\nS: 550 who knows\n" + PASSIVE + "T: RETR /a.bin"
    with pytest.raises(TruncatedTransfer):
        download(book, script, tmp_path / "a")


@pytest.mark.parametrize(
    "reply",
    [
        Reply.of(522, "SSL connection failed; session reuse required: see require_ssl_reuse option"),
        Reply.of(425, "Unable to build data connection: TLS session of data connection not resumed."),
        Reply.of(450, "TLS session of data connection has not resumed or the session does not match"),
    ],
)
@pytest.mark.requirement("R4217-10.2-h")
def test_a_demand_for_session_reuse_has_its_own_error(ready, tmp_path, reply):
    ready.ends = [TransferEnd(outcome=cut(HandshakeFailed("cut"), moved=0), final=reply)]
    with pytest.raises(SessionReuseRequired):
        download(ready, BINARY + PASSIVE + "T: RETR /a.bin", tmp_path / "a", expected_size=0)


def test_another_522_is_about_tls_on_data(ready, tmp_path):
    ready.ends = [
        TransferEnd(outcome=cut(HandshakeFailed("cut"), moved=0), final=Reply.of(522, "TLS failed"))
    ]
    with pytest.raises(DataTlsRefused):
        download(ready, BINARY + PASSIVE + "T: RETR /a.bin", tmp_path / "a", expected_size=0)


@pytest.mark.requirement("R4217-10.4-c")
def test_a_521_for_one_transfer_leaves_the_session_as_it_was(ready, tmp_path):
    ready.ends = [TransferEnd(final=Reply.of(521, "Data must be in clear"))]
    with pytest.raises(DataLevelRefused):
        download(ready, BINARY + PASSIVE + "T: RETR /a.bin", tmp_path / "a", expected_size=0)
    ready.play(sessions.protect, "C: PROT C\nS: 200 ok", private=False)
    download(ready, PASSIVE + "T: RETR /a.bin", tmp_path / "a", expected_size=0)


@pytest.mark.requirement("R4217-15.1-f")
def test_another_certificate_on_data_outweighs_what_the_server_says(ready, tmp_path):
    ready.ends = [TransferEnd(outcome=cut(CertificateMismatch("other"), moved=0), final=Reply.of(426, "Cut"))]
    with pytest.raises(CertificateMismatch):
        download(ready, BINARY + PASSIVE + "T: RETR /a.bin", tmp_path / "a", expected_size=0)


def test_a_stalled_transfer_is_a_timeout(ready, tmp_path):
    ready.ends = [TransferEnd(outcome=cut(TransferTimeout("slow")), error=TransferTimeout("no reply"))]
    with pytest.raises(TransferTimeout, match="slow"):
        download(ready, BINARY + PASSIVE + "T: RETR /a.bin", tmp_path / "a", expected_size=0)


def test_a_kept_part_is_gone_on_with_by_rest_right_before_retr(ready, completed, tmp_path):
    key = BINARY + "C: SIZE /a.bin\nS: 213 9\nC: MDTM /a.bin\nS: 213 20240101000000\n"
    part = tmp_path / f".a.9-{1704067200:x}.lockgate-part"
    part.write_bytes(b"12345")
    ready.ends = [completed(4)]
    script = key + PASSIVE + "C: REST 5\nS: 350 ok\nT: RETR /a.bin"
    report = download(ready, script, tmp_path / "a", resume=True)
    assert (report.offset, report.size) == (5, 9)
    assert left_in(tmp_path) == ["a"]


def test_a_part_of_another_state_of_the_file_is_not_used(ready, completed, tmp_path):
    (tmp_path / f".a.9-{1704067200:x}.lockgate-part").write_bytes(b"12345")
    ready.ends = [completed(9)]
    key = BINARY + "C: SIZE /a.bin\nS: 213 9\nC: MDTM /a.bin\nS: 213 20250101000000\n"
    assert download(ready, key + PASSIVE + "T: RETR /a.bin", tmp_path / "a", resume=True).offset == 0


def test_a_cut_download_that_may_be_resumed_keeps_its_part_hidden(ready, tmp_path):
    key = BINARY + "C: SIZE /a.bin\nS: 213 9\nC: MDTM /a.bin\nS: 213 20240101000000\n"
    part = tmp_path / f".a.9-{1704067200:x}.lockgate-part"
    part.write_bytes(b"12345")
    ready.ends = [TransferEnd(outcome=cut(TruncatedStream("cut")), final=Reply.of(426, "Cut"))]
    with pytest.raises(TransferCut):
        download(ready, key + PASSIVE + "C: REST 5\nS: 350 ok\nT: RETR /a.bin", tmp_path / "a", resume=True)
    assert left_in(tmp_path) == [part.name]


def test_a_cut_download_says_where_its_part_is_kept(ready, tmp_path):
    (tmp_path / ".a.5-0.lockgate-part").write_bytes(b"12")
    ready.ends = [TransferEnd(outcome=cut(TransferTimeout("too slow")), final=Reply.of(426, "cut"))]
    script = BINARY + "C: SIZE /a.bin\nS: 213 5\nC: MDTM /a.bin\nS: 550 no\n"
    script += PASSIVE + "C: REST 2\nS: 350 ok\nT: RETR /a.bin"
    with pytest.raises(TransferCut) as caught:
        download(ready, script, tmp_path / "a", resume=True)
    assert str(tmp_path / ".a.5-0.lockgate-part") in caught.value.__notes__[0]


def test_a_refused_rest_is_an_error_and_no_transfer(ready, tmp_path):
    (tmp_path / f".a.9-{1704067200:x}.lockgate-part").write_bytes(b"12345")
    key = BINARY + "C: SIZE /a.bin\nS: 213 9\nC: MDTM /a.bin\nS: 213 20240101000000\n"
    with pytest.raises(ReplyError):
        download(ready, key + PASSIVE + "C: REST 5\nS: 502 no", tmp_path / "a", resume=True)


def test_no_command_is_sent_for_a_target_that_cannot_be(ready, tmp_path):
    with pytest.raises(IsADirectory):
        download(ready, BINARY, tmp_path, expected_size=1)
    with pytest.raises(NotFound):
        download(ready, "", tmp_path / "missing" / "a", expected_size=1)


def test_an_upload_whose_end_the_server_confirmed_needs_no_size(ready, completed, tmp_path):
    (tmp_path / "a").write_bytes(b"12345")
    ready.ends = [completed(5)]
    report = ready.play(transfers.upload, BINARY + PASSIVE + "T: STOR /a.bin", tmp_path / "a", "/a.bin")
    assert report.is_end_verified


def test_an_upload_without_the_servers_close_notify_is_held_against_size(ready, completed, tmp_path):
    (tmp_path / "a").write_bytes(b"12345")
    script = BINARY + PASSIVE + "T: STOR /a.bin\nC: SIZE /a.bin\nS: 213 {}"
    play = partial(ready.play, transfers.upload)
    ready.ends = [completed(5, peer_ended=False)]
    assert play(script.format(5), tmp_path / "a", "/a.bin").is_size_verified
    ready.ends = [completed(5, peer_ended=False)]
    with pytest.raises(TruncatedTransfer, match="the server has 4"):
        play(script.format(4).removeprefix(BINARY), tmp_path / "a", "/a.bin")


def test_a_resumed_upload_goes_on_by_rest_right_before_stor_and_is_held_against_size(
    ready, completed, tmp_path
):
    (tmp_path / "a").write_bytes(b"12345")
    script = (
        BINARY
        + "C: SIZE /a.bin\nS: 213 3\n"
        + PASSIVE
        + "C: REST 3\nS: 350 ok\nT: STOR /a.bin\nC: SIZE /a.bin\nS: 213 5"
    )
    ready.ends = [completed(2)]
    report = ready.play(transfers.upload, script, tmp_path / "a", "/a.bin", resume=True)
    assert (report.offset, report.bytes_moved, report.size) == (3, 2, 5)
    assert report.is_size_verified


@pytest.mark.parametrize("size", ["213 6", "550 none", "213 0"])
def test_what_cannot_be_the_beginning_is_uploaded_anew(ready, completed, tmp_path, size):
    (tmp_path / "a").write_bytes(b"12345")
    ready.ends = [completed(5)]
    script = BINARY + f"C: SIZE /a.bin\nS: {size}\n" + PASSIVE + "T: STOR /a.bin"
    report = ready.play(transfers.upload, script, tmp_path / "a", "/a.bin", resume=True)
    assert (report.offset, report.bytes_moved) == (0, 5)


def test_a_server_that_does_not_resume_gets_the_whole_upload(ready, completed, tmp_path):
    (tmp_path / "a").write_bytes(b"12345")
    ready.ends = [completed(5)]
    script = (
        BINARY
        + "C: SIZE /a.bin\nS: 213 3\n"
        + PASSIVE
        + "C: REST 3\nS: 502 no\n"
        + PASSIVE
        + "T: STOR /a.bin"
    )
    report = ready.play(transfers.upload, script, tmp_path / "a", "/a.bin", resume=True)
    assert (report.offset, report.bytes_moved) == (0, 5)


def test_no_command_is_sent_for_a_local_file_that_is_not_there(ready, tmp_path):
    with pytest.raises(NotFound):
        ready.play(transfers.upload, "", tmp_path / "a", "/a")
    with pytest.raises(IsADirectory):
        ready.play(transfers.upload, "", tmp_path, "/a")


def test_list_takes_over_where_mlsd_is_unknown_and_stays(ready):
    ready.peer.features = {}
    ready.ends = [TransferEnd(final=Reply.of(500, "what"))]
    assert ready.play(transfers.list_directory, PASSIVE + "T: MLSD /x\n" + PASSIVE + "T: LIST /x", "/x") == []
    assert ready.play(transfers.list_directory, PASSIVE + "T: LIST /x", "/x") == []


def test_a_path_with_a_hyphen_in_front_is_no_option_of_list(ready):
    ready.peer.refuses_mlsd = True
    ready.play(transfers.list_directory, PASSIVE + "T: LIST ./-la", "-la")


def test_an_mlsd_that_is_known_and_refused_is_the_error(ready):
    ready.ends = [TransferEnd(final=Reply.of(550, "no such directory"))]
    with pytest.raises(FileUnavailable):
        ready.play(transfers.list_directory, PASSIVE + "T: MLSD /x", "/x")


@pytest.mark.parametrize(
    ("limit", "value"), [("_LISTING_BYTES", 30), ("_LISTING_LINES", 2)], ids=["bytes", "lines"]
)
def test_a_listing_without_end_is_given_up(monkeypatch, limit, value):
    monkeypatch.setattr(transfers, limit, value)
    sink = transfers._Sink()
    sink.write(b"a\r\nb\r\n")
    with pytest.raises(NoSpace):
        sink.write(b"c\r\n" * 10)
