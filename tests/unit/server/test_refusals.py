"""From errors and outcomes to replies: none is forgotten, and none tells what it should not."""

from __future__ import annotations

import pytest

from lockgate import errors
from lockgate.errors import HandshakeFailed, NoSpace, NotFound, SessionReuseRequired, StorageError
from lockgate.server.refusals import outcome_reply, storage_reply
from lockgate.storage.base import OffsetBeyondEnd, QuotaExceeded
from lockgate.storage.usage import FilesBeingCounted
from lockgate.transfer.outcome import Outcome, OutcomeStatus

SECRET = "/srv/ftp/alice/secret"


@pytest.mark.parametrize("status", OutcomeStatus)
def test_every_outcome_has_a_final_reply(status: OutcomeStatus) -> None:
    reply = outcome_reply(Outcome(status))
    assert reply.is_success is (status is OutcomeStatus.COMPLETE)
    assert not reply.is_preliminary


@pytest.mark.requirement("R959-4.1-g", "R4217-10.2-e", "RTLS-h", side="S")
@pytest.mark.parametrize(
    ("status", "code"),
    [
        (OutcomeStatus.COMPLETE, 226),
        (OutcomeStatus.TRUNCATED, 426),
        (OutcomeStatus.RESET, 426),
        (OutcomeStatus.STALLED, 426),
        (OutcomeStatus.ABORTED, 426),
        (OutcomeStatus.NOT_OPENED, 425),
        (OutcomeStatus.HANDSHAKE_FAILED, 522),
        (OutcomeStatus.NOT_ACCEPTABLE, 522),
        (OutcomeStatus.STORAGE_FAILED, 451),
    ],
)
def test_each_outcome_has_its_code(status: OutcomeStatus, code: int) -> None:
    assert outcome_reply(Outcome(status)).code == code


@pytest.mark.requirement("R4217-10.2-f", side="S")
def test_what_would_be_acceptable_is_said() -> None:
    error = SessionReuseRequired("the data connection must resume the control connection's TLS session")
    reply = outcome_reply(Outcome(OutcomeStatus.NOT_ACCEPTABLE, error=error))
    assert "must resume" in str(reply)


def test_the_error_of_a_full_disk_reaches_the_final_reply() -> None:
    assert outcome_reply(Outcome(OutcomeStatus.STORAGE_FAILED, error=NoSpace("full"))).code == 452
    assert outcome_reply(Outcome(OutcomeStatus.STORAGE_FAILED, error=OSError("odd"))).code == 451


@pytest.mark.requirement("RSEC-info-a", side="S")
@pytest.mark.parametrize(
    "kind",
    [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, StorageError)],
)
def test_every_storage_error_is_refused_without_its_words(kind: type[StorageError]) -> None:
    reply = storage_reply(kind(SECRET))
    assert reply.code in (451, 452, 550, 553)
    assert SECRET not in str(reply)


@pytest.mark.parametrize(
    "outcome",
    [
        Outcome(OutcomeStatus.HANDSHAKE_FAILED, error=HandshakeFailed(SECRET), detail=SECRET),
        Outcome(OutcomeStatus.STORAGE_FAILED, error=NotFound(SECRET), detail=SECRET),
        Outcome(OutcomeStatus.RESET, error=RuntimeError(SECRET), detail=SECRET),
        Outcome(OutcomeStatus.NOT_ACCEPTABLE, error=RuntimeError(SECRET), detail=SECRET),
    ],
)
def test_no_final_reply_repeats_the_detail(outcome: Outcome) -> None:
    assert SECRET not in str(outcome_reply(outcome))


def test_an_offset_beyond_the_end_is_554() -> None:
    assert storage_reply(OffsetBeyondEnd("beyond")).code == 554


def test_what_is_no_storage_error_is_451() -> None:
    assert storage_reply(None).code == 451
    assert storage_reply(ValueError(SECRET)).code == 451


def test_a_quota_is_not_a_full_disk_and_counting_is_neither() -> None:
    found = [storage_reply(kind(SECRET)) for kind in (QuotaExceeded, NoSpace, FilesBeingCounted)]
    assert [reply.code for reply in found] == [552, 452, 450]
    assert all(SECRET not in str(reply) for reply in found)
