"""A client core and a server core joined in memory, with an honest handler behind the server.

No sockets and no TLS: bytes are carried over with the note whether they would have been in TLS, and the two
ends must agree on every effect. Transfers stay open until `finish` when they are told to.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from lockgate.protocol.client import ClientProtocol, ReplyReceived
from lockgate.protocol.commands import Command
from lockgate.protocol.effects import CloseControl, StartTls, StopTls
from lockgate.protocol.gates import GatePolicy
from lockgate.protocol.paths import resolve
from lockgate.protocol.replies import Reply
from lockgate.protocol.server import CommandRefused, Output, ServerLimits, ServerProtocol
from lockgate.protocol.states import Login, SessionState
from lockgate.protocol.verbs import VERBS, Verb

__all__ = ["HonestHandler", "Joined", "Passage"]


@dataclass(frozen=True)
class Passage:
    """Bytes that went over the control connection."""

    by_client: bool
    in_tls: bool
    data: bytes


class HonestHandler:
    """Answers as a server with one user would; the gates have let the command through.

    The user `fred` has the password `secret`; `cert` needs none (232), `books` needs an account. A path
    `missing` does not exist.
    """

    def __call__(self, command: Command, state: SessionState) -> Reply:
        verb = command.verb
        assert verb is not None
        method = getattr(self, verb.lower(), None)
        if VERBS[verb].opens_data:
            return Reply.of(550 if command.text == "missing" else 150, "Data.")
        code = _CODES.get(verb, 200) if method is None else method(command.text, state)
        return Reply.of(code, "Answer.")

    def user(self, name: str, _: SessionState) -> int:
        return {"cert": 232, "open": 230}.get(name, 331)

    def pass_(self, text: str, _: SessionState) -> int:
        return {"secret": 230, "books": 332}.get(text, 530)

    def acct(self, text: str, state: SessionState) -> int:
        if state.login is Login.LOGGED_IN:
            return 202
        return 230 if text == "ledger" else 530

    def epsv(self, text: str, _: SessionState) -> int:
        return 200 if text.strip().upper() == "ALL" else 229

    def rest(self, text: str, _: SessionState) -> int:
        return 350 if text.isascii() and text.isdigit() and len(text) < 19 else 501

    def rnfr(self, text: str, _: SessionState) -> int:
        return 550 if text == "missing" else 350

    def type(self, text: str, _: SessionState) -> int:
        return 200 if text.upper() in ("A", "I") else 504


setattr(HonestHandler, "pass", HonestHandler.pass_)  # the verb's name is a word of Python's

_CODES = {
    Verb.AUTH: 234,
    Verb.REIN: 220,
    Verb.HOST: 220,
    Verb.QUIT: 221,
    Verb.PASV: 227,
    Verb.ABOR: 226,
    Verb.RNTO: 250,
    Verb.PWD: 257,
    Verb.MKD: 257,
    Verb.CWD: 250,
    Verb.SYST: 215,
    Verb.FEAT: 211,
    Verb.STAT: 211,
    Verb.HELP: 214,
    Verb.SIZE: 213,
    Verb.MDTM: 213,
}


@dataclass
class Joined:
    """The two ends and what passed between them.

    Attributes:
        piecewise: Carry bytes over one by one.
        holds_transfers: Leave a transfer running after its 1xx until `finish`.
        policies: What holds for users of these names once they are logged in, as the server's shell has it.
        cwd: The working directory, as the server's shell keeps it.
        gates: Names of the gates that refused, in order.
    """

    policy: GatePolicy = field(default_factory=GatePolicy)
    implicit: bool = False
    piecewise: bool = False
    holds_transfers: bool = False
    handler: HonestHandler = field(default_factory=HonestHandler)
    limits: ServerLimits = field(default_factory=ServerLimits)
    passages: list[Passage] = field(default_factory=list)
    received: list[ReplyReceived] = field(default_factory=list)
    gates: list[str] = field(default_factory=list)
    in_tls: bool = False
    is_closed: bool = False
    running: Command | None = None
    policies: dict[str, GatePolicy] = field(default_factory=dict)
    cwd: str = "/"
    user: str = ""

    def __post_init__(self) -> None:
        self.server = ServerProtocol(
            self.policy, implicit=self.implicit, limits=self.limits, cwd=lambda: self.cwd
        )
        self.client = ClientProtocol(implicit=self.implicit)
        if self.implicit:
            self._handshake()
        self._carry_to_client(self.server.greeting(Reply.of(220, "Ready.")))

    @property
    def state(self) -> SessionState:
        """The state of both ends, which must be one."""
        assert self.client.state == self.server.state
        return self.server.state

    def ask(self, line: str) -> list[int]:
        """Send a command; return the codes of the replies that came, to whichever command."""
        before = len(self.received)
        self.carry_to_server(self.client.send_command(Command.parse(line.encode())))
        return [got.reply.code for got in self.received[before:]]

    def ask_all(self, *lines: str) -> list[int]:
        """Send commands one after the other, each when the one before is answered; return the last codes."""
        return [self.ask(line)[-1] for line in lines]

    def log_in(self) -> None:
        """AUTH, USER, PASS, PBSZ, PROT P."""
        auth = () if self.implicit else ("AUTH TLS",)
        codes = self.ask_all(*auth, "USER fred", "PASS secret", "PBSZ 0", "PROT P")
        assert codes[-4:] == [331, 230, 200, 200]

    def finish(self, code: int = 226) -> list[int]:
        """End the running transfer; return the codes that came then."""
        before = len(self.received)
        command, self.running = self.running, None
        assert command is not None
        self._send(Reply.of(code, "Data."), command)
        self._serve()
        return [got.reply.code for got in self.received[before:]]

    def carry_to_server(self, data: bytes) -> None:
        """Hand bytes to the server and run what they ask for."""
        self.passages.append(Passage(by_client=True, in_tls=self.in_tls, data=data))
        for piece in self._pieces(data):
            self.server.receive_data(piece)
            self._serve()

    def _serve(self) -> None:
        while (event := self.server.next_event()) is not None:
            if isinstance(event, CommandRefused):
                self.gates.append(event.gate)
                self._send(event.reply, event.command)
                continue
            reply = self.handler(event.command, self.server.state)
            if reply.is_preliminary:
                self.running = event.command
            self._send(reply, event.command)
            if reply.is_preliminary and not self.holds_transfers:
                self.running = None
                self._send(Reply.of(226, "Data."), event.command)

    def _send(self, reply: Reply, command: Command | None) -> None:
        was_in = self.server.state.is_logged_in
        output = self.server.send_reply(reply, command)
        if command is not None and not reply.is_refusal:
            self._keep(command, was_in=was_in)
        self._carry_to_client(output)

    def _keep(self, command: Command, *, was_in: bool) -> None:
        """Keep what a server's shell keeps: the working directory, and whose policy holds."""
        match command.verb:
            case Verb.USER:
                self.user = command.text
            case Verb.CWD:
                self.cwd = resolve(self.cwd, command.text)
            case Verb.CDUP:
                self.cwd = resolve(self.cwd, "..")
        if was_in != self.server.state.is_logged_in or command.verb in (Verb.AUTH, Verb.REIN, Verb.HOST):
            is_in = self.server.state.is_logged_in
            self.server.policy = self.policies.get(self.user, self.policy) if is_in else self.policy
            self.cwd = "/"

    def _carry_to_client(self, output: Output) -> None:
        self.passages.append(Passage(by_client=False, in_tls=self.in_tls, data=output.data))
        effects: list[object] = []
        for piece in self._pieces(output.data):
            self.client.receive_data(piece)
            while (got := self.client.next_reply()) is not None:
                self.received.append(got)
                effects += got.effects
        # Both ends must do the same next.
        assert [type(effect) for effect in effects] == [type(effect) for effect in output.effects]
        for effect in output.effects:
            match effect:
                case StartTls():
                    self._handshake()
                case StopTls():
                    self.in_tls = False
                case CloseControl():
                    self.is_closed = True

    def _handshake(self) -> None:
        self.server.tls_established()
        self.client.tls_established()
        self.in_tls = True

    def _pieces(self, data: bytes) -> Iterator[bytes]:
        if not self.piecewise:
            yield data
            return
        for index in range(len(data)):
            yield data[index : index + 1]
