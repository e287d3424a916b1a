"""Random rules, directories and transfer commands: the gates ask for the level that the reference names."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from reference_model import DATA, Asked, PathRule, Reference

from lockgate.protocol.commands import Command
from lockgate.protocol.gates import View, judge
from lockgate.protocol.policy import DataRule, Flow, GatePolicy, Requirement
from lockgate.protocol.states import Control, Data, Login, SessionState, Transfer

# Few names, one the beginning of another, so that rules meet paths and each other.
names = st.sampled_from(["a", "ab", "-a", "-a b"])
paths = st.lists(names, max_size=3).map(lambda parts: "/" + "/".join(parts))
steps = st.lists(st.one_of(names, st.sampled_from(["..", ".", "", "..."])), max_size=4).map("/".join)
arguments = st.one_of(
    st.just(""),
    steps,
    steps.map(lambda text: f"/{text}"),
    st.tuples(st.sampled_from(["-la", "-l -a", "-l/.."]), steps).map(" ".join),
)
rules = st.lists(
    st.builds(
        DataRule,
        path=paths,
        data=st.sampled_from(Requirement),
        flow=st.sampled_from([None, None, *Flow]),
        for_account=st.booleans(),
    ),
    max_size=5,
    unique_by=lambda rule: (rule.path, rule.flow, rule.for_account),
)


@st.composite
def near(draw: st.DrawFn) -> tuple[list[DataRule], str, str]:
    """Rules, a directory and an argument, mostly within reach of one of the rules."""
    drawn = draw(rules)
    if drawn and draw(st.booleans()):
        # Another rule for the same path, for one flow or one account only.
        first = drawn[0]
        flow, whose = draw(st.sampled_from([(None, True), *((flow, first.for_account) for flow in Flow)]))
        if all((one.path, one.flow, one.for_account) != (first.path, flow, whose) for one in drawn):
            drawn.append(DataRule(first.path, draw(st.sampled_from(Requirement)), flow, whose))
    places = st.sampled_from([rule.path for rule in drawn] or ["/"])
    beside = st.sampled_from(["{}", "{}b", "{}/a", "{}/..", "-l {}", "-a b/../..{}"])
    cwd = draw(st.one_of(places, paths))
    argument = draw(st.one_of(arguments, st.builds(str.format, beside, places)))
    return drawn, cwd, argument


@pytest.mark.requirement("R4217-10.2-a", "R4217-10.2-b", "R4217-10.2-c")
@settings(max_examples=max(400, settings().max_examples))
# The literal meaning of what looks like an option; STOU under a name that a rule is about.
@example(([DataRule("/a/ab", Requirement.REQUIRED)], "/a", "-a/../ab"), Requirement.OPTIONAL, "LIST", False)
@example(([DataRule("/a/ab", Requirement.REQUIRED)], "/a", "ab"), Requirement.OPTIONAL, "STOU", False)
@given(near(), st.sampled_from(Requirement), st.sampled_from(DATA), st.booleans())
def test_every_transfer_is_judged_by_the_path_it_means(case, data, verb, private):
    drawn, cwd, argument = case
    if verb in ("RETR", "STOR", "APPE") and not argument.strip():
        argument = "a"
    told = tuple(
        PathRule(rule.path, rule.data.value, rule.flow.value if rule.flow else "any", rule.for_account)
        for rule in drawn
    )
    reference = Reference(Asked(data=data.value, rules=told), implicit=True)
    reference.logged_in = reference.endpoint = True
    reference.level, reference.cwd = "P" if private else "C", cwd
    state = SessionState(
        Control.PROTECTED, Data.PRIVATE if private else Data.CLEAR, Login.LOGGED_IN, Transfer.ENDPOINT_READY
    )
    command = Command(verb, argument or None)
    policy = GatePolicy(data=data, rules=tuple(drawn))
    gate = judge(View(command, command.row, state, policy, cwd))
    refused = reference.refusal(verb, argument)
    assert refused.code == (0 if gate is None else gate.code)
    assert gate is None or refused.about in gate.text
    for level in "CP":
        prot = Command("PROT", level)
        reference.pbsz = True
        gate = judge(View(prot, prot.row, SessionState(Control.PROTECTED, Data.CLEAR), policy, cwd))
        assert reference.refusal("PROT", level).code == (0 if gate is None else gate.code)
