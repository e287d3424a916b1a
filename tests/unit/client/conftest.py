"""Plays the server's part in a conversation from a transcript: no socket, no driver."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lockgate import errors
from lockgate.client.conversation import (
    Ask,
    AwaitReply,
    Conversation,
    Effect,
    Listen,
    Local,
    OpenData,
    RunTransfer,
    StartTls,
    TransferEnd,
)
from lockgate.client.options import make_options
from lockgate.client.peer import Peer
from lockgate.protocol.addresses import HostPort
from lockgate.protocol.client import ClientProtocol
from lockgate.transfer.outcome import Outcome, OutcomeStatus


class Playbook:
    """Runs conversations against transcripts; see `play`."""

    def __init__(self, url: str = "ftpes://alice:secret@server.example", **arguments: object) -> None:
        self.options = make_options(url, **arguments)
        self.protocol = ClientProtocol(implicit=self.options.mode.value == "implicit")
        self.peer = Peer(self.options, self.protocol)
        self.ends: list[TransferEnd] = []
        self._script: list[str] = []

    def play(self, operation: Callable[..., Conversation], script: str, *args: object, **more: object):
        """Run an operation against a transcript and return its value.

        The lines: `C: command`, `S: reply line`, `* Effect` or `* Effect ! ErrorClass`, `T: transfer command`
        (its end is taken from `ends`, and complete by default).
        """
        self._script = [line.strip() for line in script.strip().splitlines() if line.strip()]
        conversation = operation(self.peer, *args, **more)
        try:
            effect = next(conversation)
            while True:
                try:
                    result = self._perform(effect)
                except errors.LockgateError as error:
                    effect = conversation.throw(error)
                else:
                    effect = conversation.send(result)
        except StopIteration as done:
            assert not self._script, f"the conversation ended before {self._script}"
            return done.value

    def _perform(self, effect: Effect) -> object:
        match effect:
            case Ask(command):
                data = self.protocol.send_command(command)
                self._expect("C: " + data.decode("utf-8", "surrogateescape").rstrip("\r\n"))
                return self._reply()
            case AwaitReply():
                return self._reply()
            case Local(work):
                return work()
            case OpenData(port):
                self._expect(f"* OpenData {port}")
            case Listen():
                self._expect("* Listen")
                return HostPort("192.0.2.7", 40_000)
            case RunTransfer(command):
                self._expect(f"T: {command.to_bytes().decode().rstrip()}")
                return self.ends.pop(0) if self.ends else complete()
            case StartTls():
                self._expect("* StartTls")
                self.protocol.tls_established()
            case _:
                self._expect(f"* {type(effect).__name__}")
        return None

    def _expect(self, said: str) -> None:
        assert self._script, f"the conversation goes on with {said!r}"
        line, _, error = self._script.pop(0).partition(" ! ")
        assert said == line
        if error:
            if said == "* StartTls" and error == "CertificateRejected":
                self.protocol.tls_established()
            raise getattr(errors, error)("scripted")

    def _reply(self):
        while (received := self.protocol.next_reply()) is None:
            assert self._script, "the conversation waits for a reply that the script does not have"
            line = self._script.pop(0)
            assert line.startswith("S: "), f"the conversation waits for a reply, and the script has {line!r}"
            self.protocol.receive_data(line[3:].encode() + b"\r\n")
        return received.reply


def complete(moved: int = 0, **changes: object) -> TransferEnd:
    """Return the end of a transfer that went well."""
    from lockgate.protocol.replies import Reply

    values = {
        "outcome": Outcome(OutcomeStatus.COMPLETE, moved, verified_end=True),
        "final": Reply.of(226, "Done"),
        "peer_ended": True,
    }
    return TransferEnd(**{**values, **changes})


@pytest.fixture
def playbook() -> type[Playbook]:
    """The class: `playbook(url, **connect arguments).play(operation, transcript)`."""
    return Playbook


@pytest.fixture
def completed() -> Callable[..., TransferEnd]:
    """Make the end of a transfer that went well, with changes."""
    return complete


GREETING = "S: 220 Hello"
SECURED = """
S: 220 Hello
C: AUTH TLS
S: 234 go
* StartTls
"""
PROTECTED = """
C: PBSZ 0
S: 200 ok
C: PROT P
S: 200 ok
"""
LOGGED_IN = """
C: USER alice
S: 331 password
C: PASS secret
S: 230 welcome
"""
FEATURES = """
C: FEAT
S: 211-Features:
S:  MLST type*;size*;
S:  SIZE
S:  UTF8
S: 211 End
C: OPTS UTF8 ON
S: 200 ok
"""


@pytest.fixture
def ready(playbook):
    """A playbook whose session is established: protected and logged in."""
    from lockgate.client import sessions

    book = playbook()
    book.play(sessions.establish, SECURED + PROTECTED + LOGGED_IN + FEATURES)
    return book
