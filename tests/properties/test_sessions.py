"""No order of commands gets round a policy, and the two ends never disagree."""

from __future__ import annotations

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from joined_cores import Joined
from reference_model import ALLOWED, DATA, OPEN_TO_ALL, Asked, PathRule, Reference

from lockgate.errors import LocalProtocolError
from lockgate.protocol.commands import Command
from lockgate.protocol.gates import View, judge
from lockgate.protocol.policy import CccRule, DataRule, Flow, GatePolicy, Requirement
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
    "CWD": ["pub", "/secret", "..", "/", "pub/../secret"],
    "LIST": ["", "-la", "-la /secret", "/pub"],
    "NLST": ["", "-l/../secret", "pub"],
    "MLSD": ["", "/secret", "-a"],
    "STOU": ["", "/secret/x", "x"],
    "RETR": ["a", "missing", "/secret/a", "/pub/a", "../secret/a", "secretary"],
    "STOR": ["a", "/secret/a", "pub/../secret//a", "/pub/deep/a"],
    "APPE": ["a", "/pub/a", "./deep/../a"],
}
PLAIN = ["a", "missing"]
# What a session is made of comes more often than the rest.
OFTEN = [
    *("USER", "PASS", "AUTH", "PBSZ", "PROT", "CCC", "REIN", "EPSV", "PASV", "CWD"),
    *("RETR", "STOR", "APPE", "STOU", "LIST", "NLST", "MLSD", "PORT"),
]

# Where the random part begins, so that what lies far behind a login is seen often too.
PRELUDES = [
    (),
    ("USER fred", "PASS secret"),
    ("AUTH TLS", "PBSZ 0"),
    ("AUTH TLS", "USER fred", "PASS secret", "EPSV"),
    ("AUTH TLS", "USER fred", "PASS secret", "PBSZ 0", "PROT P", "EPSV"),
    ("AUTH SSL", "PBSZ 0", "PROT C", "USER cert", "CCC"),
    ("AUTH TLS", "PBSZ 0", "PROT P", "USER cert", "PASV", "CWD pub"),
    ("AUTH TLS", "PBSZ 0", "PROT C", "USER open", "EPSV", "CWD secret"),
]

rules = st.builds(
    DataRule,
    path=st.sampled_from(["/", "/secret", "/pub", "/pub/deep", "/secret/x"]),
    data=st.sampled_from(Requirement),
    flow=st.sampled_from([None, *Flow]),
    for_account=st.booleans(),
)
policies = st.builds(
    GatePolicy,
    has_tls=st.sampled_from([True, True, True, False]),
    control=st.sampled_from(Requirement),
    data=st.sampled_from(Requirement),
    ccc=st.sampled_from(CccRule),
    legacy_auth=st.booleans(),
    active_mode=st.booleans(),
    rules=st.lists(rules, max_size=3, unique_by=lambda one: (one.path, one.flow, one.for_account)).map(tuple),
)
USERS = ("fred", "cert", "open", "books")


def told(policy):
    """The same policy in the reference's words."""
    return Asked(
        control=policy.control.value,
        data=policy.data.value,
        ccc=policy.ccc is not CccRule.OFF,
        legacy=policy.legacy_auth,
        has_tls=policy.has_tls,
        active=policy.active_mode,
        rules=tuple(
            PathRule(rule.path, rule.data.value, rule.flow.value if rule.flow else "any", rule.for_account)
            for rule in policy.rules
        ),
    )


@st.composite
def lines(draw):
    """A command line: any verb with a likely argument, in any case."""
    word = draw(
        st.one_of(st.sampled_from(OFTEN), st.sampled_from([verb.value for verb in VERBS if verb != "QUIT"]))
    )
    row = VERBS[word]
    argument = None
    as_it_should = draw(st.integers(0, 7)) > 0
    if (row.argument is not Argument.NONE) == as_it_should:
        choices = ARGUMENTS.get(word, PLAIN if row.argument is not Argument.OPTIONAL else ["", "a"])
        argument = draw(st.sampled_from(choices))
    spelt = draw(st.sampled_from([word, word.lower()]))
    return spelt if argument is None else f"{spelt} {argument}"


class Sessions(RuleBasedStateMachine):
    """Random commands through client core, server core and an honest handler, judged by the reference."""

    @initialize(
        policy=policies,
        accounts=st.fixed_dictionaries({}, optional=dict.fromkeys(USERS, policies)),
        implicit=st.booleans(),
        piecewise=st.booleans(),
        prelude=st.sampled_from(PRELUDES),
    )
    def connect(self, policy, accounts, implicit, piecewise, prelude):
        limits = ServerLimits(refusals=100_000)
        self.pair = Joined(
            policy, implicit, piecewise=piecewise, holds_transfers=True, limits=limits, policies=accounts
        )
        asked = {name: told(one) for name, one in accounts.items()}
        self.reference = Reference(told(policy), implicit, asked)
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
        refused = self.reference.refusal(command.word, argument)
        policy = self.pair.server.policy
        try:
            data = self.pair.client.send_command(command)
        except LocalProtocolError:
            # What our client would not send, our server would not take: here the reference speaks for both.
            assert refused.code
            self.judge_gate(command, refused, self.pair.server.state, policy, cwd=self.pair.cwd)
            return
        before, cwd = self.pair.server.state, self.pair.cwd
        first = len(self.pair.received)
        self.pair.carry_to_server(data)
        codes = [got.reply.code for got in self.pair.received[first:]]
        assert len(codes) == 1, "one reply, a transfer's second one comes when it ends"
        code = codes[0]
        assert code != 334
        self.judge_gate(command, refused, before, policy, cwd=cwd)
        assert refused is ALLOWED or (
            code == refused.code and refused.about in self.pair.received[-1].reply.text
        )
        self.judge_reply(command, code, before, policy)
        if code >= 200:
            self.reference.happened(verb.value, argument, code)

    def judge_gate(self, command, refused, before, policy, *, cwd):
        """The first gate that refuses is the one that the RFCs' paragraphs name."""
        gate = judge(View(command, command.row, before, policy, cwd))
        assert refused.code == (0 if gate is None else gate.code)
        assert gate is None or refused.about in gate.reply(command).text

    def judge_reply(self, command, code, before, policy):
        verb = command.verb.value
        if not before.is_logged_in and verb not in OPEN_TO_ALL:
            assert code >= 400
        if verb in ("USER", "PASS", "ACCT") and code < 400:
            assert policy.control is not Requirement.REQUIRED or before.is_protected
        if code < 200:
            assert verb in DATA
            asked = self.reference.levels_asked(verb, command.text)
            assert ("forbidden" if before.data.is_private else "required") not in asked
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
