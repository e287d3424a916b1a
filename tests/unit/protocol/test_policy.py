"""Which level a path asks for, and which paths a command means."""

from __future__ import annotations

import pytest

from lockgate.protocol.commands import Command
from lockgate.protocol.policy import DataRule, Flow, GatePolicy, Requirement, flow_of, paths_meant
from lockgate.protocol.verbs import VERBS, Verb

R, FREE, F = Requirement.REQUIRED, Requirement.OPTIONAL, Requirement.FORBIDDEN


def policy(*rules: DataRule, data: Requirement = R) -> GatePolicy:
    return GatePolicy(data=data, rules=rules)


def test_every_verb_that_opens_data_has_a_flow():
    for verb, row in VERBS.items():
        if row.opens_data:
            assert flow_of(verb) in Flow


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        ("/", R),
        ("/pub", FREE),
        ("/pub/a", FREE),
        ("/pub/a/b", FREE),
        ("/public", R),
        ("/pu", R),
        ("/pub/deep", F),
        ("/pub/deep/x", F),
        ("/pub/deeper", FREE),
        ("/x/pub", R),
    ],
)
def test_the_longest_prefix_of_whole_components_decides(path, asked):
    rules = (DataRule("/pub/deep", F), DataRule("/pub", FREE))
    assert policy(*rules).data_for(path, Flow.DOWNLOAD) is asked
    assert policy(*reversed(rules)).data_for(path, Flow.DOWNLOAD) is asked


def test_a_rule_for_the_root_is_for_everything():
    assert policy(DataRule("/", FREE)).data_for("/any/where", Flow.LIST) is FREE


def test_a_rule_for_one_flow_says_nothing_of_the_others():
    ruled = policy(DataRule("/in", FREE, Flow.UPLOAD))
    assert [ruled.data_for("/in/a", flow) for flow in Flow] == [FREE, R, R]


def test_of_two_rules_for_one_path_the_one_that_names_accounts_then_the_one_that_names_a_flow_decides():
    every, flow = DataRule("/in", R), DataRule("/in", FREE, Flow.UPLOAD)
    mine = DataRule("/in", F, for_account=True)
    assert policy(every, flow).data_for("/in", Flow.UPLOAD) is FREE
    assert policy(every, flow, mine).data_for("/in", Flow.UPLOAD) is F
    assert policy(mine, DataRule("/in/a", FREE)).data_for("/in/a", Flow.UPLOAD) is FREE


@pytest.mark.parametrize(
    ("data", "rules", "clear", "private"),
    [
        (R, (), False, True),
        (FREE, (), True, True),
        (F, (), True, False),
        (R, (DataRule("/a", FREE),), True, True),
        (R, (DataRule("/a", R),), False, True),
        (R, (DataRule("/a", F),), True, True),
        (F, (DataRule("/a", F),), True, False),
        (F, (DataRule("/a", FREE),), True, True),
    ],
)
def test_a_level_may_be_set_where_some_transfer_may_use_it(data, rules, clear, private):
    ruled = policy(*rules, data=data)
    assert ruled.may_have_level(private=False) is clear
    assert ruled.may_have_level(private=True) is private


@pytest.mark.parametrize(
    ("line", "cwd", "meant"),
    [
        ("RETR a", "/", ("/a",)),
        ("RETR a", "/in", ("/in/a",)),
        ("STOR ../out/a", "/in", ("/out/a",)),
        ("APPE /out//./a", "/in", ("/out/a",)),
        ("RETR -x", "/in", ("/in/-x",)),
        ("STOU", "/in", ("/in",)),
        ("STOU ../out/part", "/in", ("/out",)),
        ("STOU part", "/in", ("/in",)),
        ("LIST", "/in", ("/in",)),
        ("NLST ..", "/in", ("/",)),
        ("LIST -la", "/in", ("/in/-la", "/in")),
        ("LIST -la /out", "/in", ("/in/-la /out", "/out")),
        ("NLST -a -l ../out", "/in", ("/in/-a -l ../out", "/out")),
        ("MLSD", "/in", ("/in",)),
        ("MLSD -la", "/in", ("/in/-la",)),
    ],
)
def test_the_paths_that_a_command_means(line, cwd, meant):
    command = Command.parse(line.encode())
    assert paths_meant(Verb(command.word), command, cwd) == meant
