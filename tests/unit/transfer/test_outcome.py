"""Errors and the outcomes they stand for."""

from __future__ import annotations

import pytest

from lockgate import errors
from lockgate.transfer.outcome import NotOpened, Outcome, OutcomeStatus, failure
from lockgate.transfer.ports import PortsExhausted


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.TransferAborted("x"), OutcomeStatus.ABORTED),
        (errors.TransferTimeout("x"), OutcomeStatus.STALLED),
        (errors.TruncatedStream("x"), OutcomeStatus.TRUNCATED),
        (errors.TruncatedTransfer("x"), OutcomeStatus.TRUNCATED),
        (errors.ConnectionLost("x"), OutcomeStatus.RESET),
        (errors.TlsError("x"), OutcomeStatus.RESET),
        (errors.HandshakeFailed("x"), OutcomeStatus.HANDSHAKE_FAILED),
        (errors.CertificateRejected("x"), OutcomeStatus.HANDSHAKE_FAILED),
        (errors.CertificateMismatch("x"), OutcomeStatus.NOT_ACCEPTABLE),
        (errors.SessionReuseRequired("x"), OutcomeStatus.NOT_ACCEPTABLE),
        (NotOpened("x"), OutcomeStatus.NOT_OPENED),
        (PortsExhausted("x"), OutcomeStatus.NOT_OPENED),
        (errors.NoSpace("x"), OutcomeStatus.STORAGE_FAILED),
        (OSError(5, "x"), OutcomeStatus.STORAGE_FAILED),
    ],
)
def test_an_error_has_its_outcome(error: Exception, status: OutcomeStatus) -> None:
    outcome = failure(error, bytes_moved=3, seconds=1.5)
    assert (outcome.status, outcome.bytes_moved, outcome.seconds, outcome.error) == (status, 3, 1.5, error)
    assert outcome.detail
    assert not outcome.is_complete
    assert not outcome.verified_end


def test_a_bug_is_no_outcome() -> None:
    with pytest.raises(KeyError):
        failure(KeyError("x"))


def test_only_complete_is_complete() -> None:
    assert [status for status in OutcomeStatus if Outcome(status).is_complete] == [OutcomeStatus.COMPLETE]
