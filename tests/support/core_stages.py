"""Stages for transcripts without a network: the joined cores, the server core, the client core."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

from joined_cores import HonestHandler, Joined
from transcript_play import Event, ReplyStep, Transcript

from lockgate.protocol.client import ClientProtocol
from lockgate.protocol.commands import Command
from lockgate.protocol.effects import CloseControl, StartTls, StopTls
from lockgate.protocol.gates import CccRule, GatePolicy, Requirement
from lockgate.protocol.replies import Reply
from lockgate.protocol.server import CommandRefused, Output, ServerProtocol
from lockgate.protocol.states import SessionState

__all__ = ["ClientStage", "JoinedStage", "ServerStage", "gate_policy"]

_ENDPOINT = "127,0,0,1,4,1"


def gate_policy(transcript: Transcript) -> GatePolicy:
    """The policy that a transcript's settings ask for; safe where it asks for nothing."""
    settings = transcript.settings
    return GatePolicy(
        control=Requirement(settings.get("control", "required")),
        data=Requirement(settings.get("data", "required")),
        ccc=CccRule(settings.get("ccc", "off")),
    )


def _fill(text: str, transcript: Transcript) -> str:
    user = "cert" if transcript.settings.get("login") == "certificate" else "fred"
    return text.format(user=user, password="secret", file="a file", client=_ENDPOINT, server=f"({_ENDPOINT})")


def _state(state: SessionState, machines: Mapping[str, str]) -> str:
    return "== " + " ".join(f"{name}={getattr(state, name).name}" for name in machines)


class _DataScript:
    """The data connection that is not there: events must come in an order that the level allows."""

    def __init__(self) -> None:
        self._last: Event | None = None
        self._in_tls = False

    def take(self, event: Event, state: SessionState) -> str:
        opened = (Event.DATA_ACCEPT, Event.DATA_CONNECT)
        match event:
            case Event.DATA_TLS:
                fits = self._last in opened and state.data.is_private
                self._in_tls = fits
            case Event.DATA_SEND | Event.DATA_RECEIVE:
                fits = self._last in (*opened, Event.DATA_TLS) and self._in_tls == state.data.is_private
            case Event.DATA_CLEAR:
                fits = self._in_tls
                self._in_tls = False
            case Event.DATA_CLOSE:
                fits = self._last is not None and not self._in_tls
            case Event.DATA_ACCEPT:
                fits = self._last is Event.DATA_LISTEN
            case _:
                fits = self._last is None
        self._last = None if event is Event.DATA_CLOSE else event
        return f"-- {event.value}" if fits else f"-- ({event.value} does not fit the level or the order)"


class JoinedStage:
    """Both cores: commands go through the client's, replies come out of it."""

    def __init__(self, transcript: Transcript, *, piecewise: bool = False) -> None:
        self._transcript = transcript
        self._pair = Joined(gate_policy(transcript), piecewise=piecewise, holds_transfers=True)
        self._taken = 0
        self._data = _DataScript()

    def command(self, line: str) -> str:
        if self._taken < len(self._pair.received):
            return self.end()
        self._pair.ask(_fill(line, self._transcript))
        return f"C: {line}"

    def reply(self, step: ReplyStep) -> str:
        if self._taken == len(self._pair.received) and self._pair.running is not None:
            self._pair.finish()
        if self._taken == len(self._pair.received):
            return "S: nothing"
        self._taken += 1
        return f"S: {self._pair.received[self._taken - 1].reply.code}"

    def event(self, event: Event) -> str:
        match event:
            case Event.CONTROL_TLS | Event.CONTROL_CLEAR:
                return f"-- {Event.CONTROL_TLS.value if self._pair.in_tls else Event.CONTROL_CLEAR.value}"
            case _:
                return self._data.take(event, self._pair.state)

    def state(self, machines: Mapping[str, str]) -> str:
        return _state(self._pair.state, machines)

    def end(self) -> str:
        rest = [f"S: {got.reply.code}" for got in self._pair.received[self._taken :]]
        return "\n".join(rest) if self._pair.running is None else "a transfer still runs"


class _OneCore:
    """What a stage with one core does alike on either side: TLS by effects, data by the script."""

    def __init__(self, transcript: Transcript, core: ServerProtocol | ClientProtocol) -> None:
        self._transcript = transcript
        self._core = core
        self._effects: deque[object] = deque()
        self._data = _DataScript()

    def event(self, event: Event) -> str:
        if event not in (Event.CONTROL_TLS, Event.CONTROL_CLEAR):
            return self._data.take(event, self._core.state)
        match self._effects.popleft() if self._effects else None:
            case StartTls():
                self._core.tls_established()
                return f"-- {Event.CONTROL_TLS.value}"
            case StopTls():
                return f"-- {Event.CONTROL_CLEAR.value}"
            case _:
                return "-- nothing"

    def state(self, machines: Mapping[str, str]) -> str:
        return _state(self._core.state, machines)


class ServerStage(_OneCore):
    """The server core alone, with an honest handler."""

    _core: ServerProtocol

    def __init__(self, transcript: Transcript) -> None:
        super().__init__(transcript, ServerProtocol(gate_policy(transcript)))
        self._handler = HonestHandler()
        self._outputs = deque([self._core.greeting(Reply.of(220, "Ready."))])
        self._running: Command | None = None

    def command(self, line: str) -> str:
        self._core.receive_data(_fill(line, self._transcript).encode() + b"\r\n")
        while (event := self._core.next_event()) is not None:
            if isinstance(event, CommandRefused):
                self._send(event.reply, event.command)
                continue
            reply = self._handler(event.command, self._core.state)
            self._running = event.command if reply.is_preliminary else None
            self._send(reply, event.command)
        return f"C: {line}"

    def _send(self, reply: Reply, command: Command | None) -> None:
        self._outputs.append(self._core.send_reply(reply, command))

    def reply(self, step: ReplyStep) -> str:
        if not self._outputs and self._running is not None:
            self._send(Reply.of(226, "Done."), self._running)
            self._running = None
        if not self._outputs:
            return "S: nothing"
        output: Output = self._outputs.popleft()
        self._effects += [effect for effect in output.effects if not isinstance(effect, CloseControl)]
        return f"S: {int(output.data[:3])}"

    def end(self) -> str:
        return " ".join(str(each) for each in (*self._outputs, *self._effects))


class ClientStage(_OneCore):
    """The client core alone: the transcript plays the server."""

    _core: ClientProtocol

    def __init__(self, transcript: Transcript) -> None:
        super().__init__(transcript, ClientProtocol())

    def command(self, line: str) -> str:
        filled = _fill(line, self._transcript)
        sent = self._core.send_command(Command.parse(filled.encode()))
        return f"C: {line}" if sent == filled.encode() + b"\r\n" else f"C: {sent!r}"

    def reply(self, step: ReplyStep) -> str:
        self._core.receive_data(f"{step.code} {_fill(step.text, self._transcript)}\r\n".encode())
        got = self._core.next_reply()
        if got is None:
            return "S: nothing"
        self._effects += [effect for effect in got.effects if not isinstance(effect, CloseControl)]
        return f"S: {got.reply.code}"

    def end(self) -> str:
        return " ".join(str(each) for each in (*self._core.outstanding, *self._effects))
