"""No order of commands gets round a policy, and the two ends never disagree."""

from __future__ import annotations

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from joined_cores import Joined
from reference_model import DATA, OPEN_TO_ALL, Reference

from lockgate.errors import LocalProtocolError
from lockgate.protocol.commands import Command
from lockgate.protocol.gates import CccRule, GatePolicy, Requirement, View, judge
from lockgate.protocol.server import ServerLimits
from lockgate.protocol.states import Control, SessionState, Transfer, handshake_done, initial
from lockgate.protocol.verbs import VERBS, Argument

ARGUMENTS = {
    "USER": ["fred", "cert", "open", "books"],
    "PASS": ["secret", "wrong", "books", ""],
    "ACCT": ["ledger", "wrong"],
    "AUTH": ["TLS", "tls", "TLS-C", "SSL", "tls-p", " ssl", "GSSAPI"],
    "PBSZ": ["0", "0", "1", " 0", "4294967296", "junk"],
    "PROT": ["P", "C", "p", "c", " P", "S", "E", "X"],
    "EPSV": ["", "1", "ALL", "all"],
    "REST": ["0", "100", "junk", "9" * 30],
    "TYPE": ["A", "I", "X"],
    "RNFR": ["a", "missing"],
    "OPTS": ["UTF8 ON"],
    "PORT": ["127,0,0,1,4,1"],
    "EPRT": ["|1|127.0.0.1|1025|"],
}
PLAIN = ["a", "missing"]
# What a session is made of comes more often than the rest.
OFTEN = ["USER", "PASS", "AUTH", "PBSZ", "PROT", "CCC", "REIN", "EPSV", "PASV", "RETR", "STOR", "LIST"]

# Where the random part begins, so that what lies far behind a login is seen often too.
PRELUDES = [
    (),
    ("USER fred", "PASS secret"),
    ("AUTH TLS", "PBSZ 0"),
    ("AUTH TLS", "USER fred", "PASS secret", "EPSV"),
    ("AUTH TLS", "USER fred", "PASS secret", "PBSZ 0", "PROT P", "EPSV"),
    ("AUTH SSL", "PBSZ 0", "PROT C", "USER cert", "CCC"),
]

policies = st.builds(
    GatePolicy,
    control=st.sampled_from(Requirement),
    data=st.sampled_from(Requirement),
    ccc=st.sampled_from(CccRule),
    legacy_auth=st.booleans(),
)


@st.composite
def lines(draw):
    """A command line: any verb with a likely argument, in any case."""
    word = draw(
        st.one_of(st.sampled_from(OFTEN), st.sampled_from([verb.value for verb in VERBS if verb != "QUIT"]))
    )
    row = VERBS[word]
    argument = None
    if row.argument is not Argument.NONE:
        choices = ARGUMENTS.get(word, PLAIN if row.argument is Argument.REQUIRED else ["", "a"])
        argument = draw(st.sampled_from(choices))
    spelt = draw(st.sampled_from([word, word.lower()]))
    return spelt if argument is None else f"{spelt} {argument}"


class Sessions(RuleBasedStateMachine):
    """Random commands through client core, server core and an honest handler, judged by the reference."""

    @initialize(
        policy=policies, implicit=st.booleans(), piecewise=st.booleans(), prelude=st.sampled_from(PRELUDES)
    )
    def connect(self, policy, implicit, piecewise, prelude):
        self.policy = policy
        limits = ServerLimits(refusals=100_000)
        self.pair = Joined(policy, implicit, piecewise=piecewise, holds_transfers=True, limits=limits)
        self.reference = Reference(
            policy.control.value,
            policy.data.value,
            policy.ccc is not CccRule.OFF,
            policy.legacy_auth,
            implicit,
        )
        for line in prelude:
            self.exchange(line)

    def is_idle(self):
        return self.pair.running is None

    @precondition(is_idle)
    @rule(batch=st.lists(lines(), min_size=1, max_size=4))
    def commands(self, batch):
        for line in batch:
            if self.is_idle():
                self.exchange(line)

    def exchange(self, line):
        command = Command.parse(line.encode())
        verb, argument = command.verb, command.text
        allowed = self.reference.allowed(verb, argument)
        try:
            data = self.pair.client.send_command(command)
        except LocalProtocolError:
            # What our client would not send, our server would not take: here the reference speaks for both.
            assert not allowed
            assert judge(View(command, command.row, self.pair.server.state, self.policy)) is not None
            return
        before = self.pair.server.state
        first = len(self.pair.received)
        self.pair.carry_to_server(data)
        codes = [got.reply.code for got in self.pair.received[first:]]
        assert len(codes) == 1, "one reply, a transfer's second one comes when it ends"
        code = codes[0]
        assert code != 334
        self.judge_reply(command, code, before, allowed=allowed)
        if code >= 200:
            self.reference.happened(verb.value, argument, code)

    def judge_reply(self, command, code, before, *, allowed):
        verb, policy = command.verb.value, self.policy
        gate = judge(View(command, command.row, before, policy))
        # 501 and 502 are refusals for form, of which the reference knows nothing.
        assert (gate is None) == allowed or code in (501, 502)
        assert gate is None or gate.code == code >= 400
        if not before.is_logged_in and verb not in OPEN_TO_ALL:
            assert code >= 400
        if verb in ("USER", "PASS", "ACCT") and code < 400:
            assert policy.control is not Requirement.REQUIRED or before.is_protected
        if code < 200:
            assert verb in DATA
            assert policy.data is not Requirement.REQUIRED or before.data.is_private
            assert policy.data is not Requirement.FORBIDDEN or not before.data.is_private
        if before.control is Control.CLEARED and verb in ("PBSZ", "PROT", "AUTH"):
            assert code >= 500
        if (verb, code) in (("AUTH", 234), ("REIN", 220)):
            self.judge_reset(verb, before)

    def judge_reset(self, verb, before):
        """AUTH and REIN leave nothing of what was, except the port's kind."""
        if verb == "AUTH":
            assert before.control is Control.CLEAR
            level = self.pair.state.data
            fresh = SessionState(Control.PROTECTED, level, implicit=before.implicit)
            assert not level.has_pbsz
        elif before.implicit and before.is_protected:
            fresh = handshake_done(initial(implicit=True))
        else:
            fresh = SessionState(implicit=before.implicit)
        assert self.pair.state == fresh

    @precondition(lambda self: self.pair.running is not None)
    @rule(
        line=st.sampled_from(["ABOR", "STAT", "NOOP", "PWD", "PASV", "LIST"]),
        code=st.sampled_from([226, 250, 425, 426, 451, 522, 552]),
    )
    def during_a_transfer(self, line, code):
        """A command while data moves, then the end; ABOR and STAT are answered at once, the rest after."""
        command = self.pair.running
        first = len(self.pair.received)
        self.pair.carry_to_server(self.pair.client.send_command(Command(line)))
        assert (len(self.pair.received) > first) == (line in ("ABOR", "STAT"))
        self.reference.happened(command.verb.value, command.text, 226)
        self.pair.finish(code)
        for got in self.pair.received[first:]:
            if got.command.word == line:
                self.reference.happened(line, "", got.reply.code)

    @precondition(lambda self: self.pair.running is not None)
    @rule(code=st.sampled_from([226, 250, 425, 426, 451, 522, 552]))
    def a_transfer_ends(self, code):
        command = self.pair.running
        assert self.pair.finish(code) == [code]
        self.reference.happened(command.verb.value, command.text, 226)

    @invariant()
    def the_ends_agree(self):
        if not hasattr(self, "pair"):
            return
        state = self.pair.state
        assert self.pair.client.outstanding == (() if self.pair.running is None else (self.pair.running,))
        if self.pair.running is None:
            told = self.reference
            assert state.is_protected == told.tls == self.pair.in_tls
            assert state.is_logged_in == told.logged_in
            assert state.data.is_private == (told.level == "P")
            assert state.data.has_pbsz == told.pbsz
            assert (state.transfer is Transfer.ENDPOINT_READY) == told.endpoint
            assert (state.rename_from is not None) == told.renaming


TestSessions = pytest.mark.requirement("R4217-10.1-e", "R4217-5-g")(Sessions.TestCase)
