"""Random orders of commands against random configurations: nothing that one forbids comes about.

Each configuration has a server of its own, which many sessions visit, one after the other. Clients show
themselves, and offer sessions on data, rightly and wrongly.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from client_faces import NAMES, SUITES, Face, Wardrobe, faces
from drawn_policies import Configuration, Person, Port, configurations
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st
from live_server import PASSWORD, USER, running
from live_server import configuration as written
from policy_visit import Plan, Visit, furnish
from reference_model import DATA
from tls_bytes import forgiving

from lockgate.errors import ConfigError
from lockgate.server.config import Config

PATHS = ["a", "/a", "/secret/a", "/pub/a", "/pub/in/a", "in/../a", "../secret/a", "new", "/pub/new"]
ARGUMENTS = {
    "USER": [*NAMES, "nobody", "somebody"],
    "AUTH": ["TLS", "TLS", "SSL", "TLS-C", "TLS-P", "KERBEROS_V4"],
    "PBSZ": ["0", "0", "x"],
    "PROT": ["P", "P", "C", "C", "S"],
    "HOST": ["localhost", "127.0.0.1", "other.example"],
    "CWD": ["/", "secret", "/pub", "/pub/in", ".."],
    "TYPE": ["I", "I", "A"],
    "REST": ["3", "0"],
    "EPSV": [None, None, None, None, "ALL"],
    "PORT": ["own", "own", "bounce", "low"],
    "EPRT": ["own", "own", "bounce", "low"],
    **dict.fromkeys(("RETR", "STOR", "APPE", "DELE", "RNFR", "RNTO", "SIZE", "MLST"), PATHS),
    "MKD": ["made", "/pub/made"],
    "RMD": ["made", "/pub/in"],
    "STAT": [None, "/secret", "a"],
    "STOU": [None, "/secret/x", "/pub/in/x"],
    "LIST": [None, "-la", "-la /secret", "/pub"],
    "NLST": [None, "/secret", "-l/../pub"],
    "MLSD": [None, "/secret", "/pub/in"],
}
VERBS = (
    *(*DATA, *DATA, *ARGUMENTS),
    *(
        "RETR",
        "STOR",
        "RETR",
        "STOR",
        "PASV",
        "EPSV",
        "CCC",
        "REIN",
        "REIN",
        "AUTH",
        "USER",
        "USER",
        "PROT",
        "ABOR",
        "PWD",
        "NOOP",
    ),
)
SETUPS = ("EPSV", "EPSV", "PASV", "PORT own", "EPRT own")


def password(name: str) -> str:
    return PASSWORD if name == USER else name


@st.composite
def lines(draw: st.DrawFn, name: str) -> list[str]:
    """Some lines, likely ones; a password mostly follows its name, an endpoint its transfer."""
    found = []
    for _ in range(draw(st.integers(3, 9))):
        verb = draw(st.sampled_from(VERBS))
        argument = draw(st.sampled_from(ARGUMENTS.get(verb, [None])))
        if verb == "USER" and draw(st.booleans()):
            argument = name
        if verb in DATA and draw(st.integers(0, 4)):
            found.append(draw(st.sampled_from(SETUPS)))
        if verb == "RNTO" and draw(st.booleans()):
            found.append(f"RNFR {draw(st.sampled_from(PATHS))}")
        if verb == "PROT" and draw(st.booleans()):
            found.append("PBSZ 0")
        found.append(verb if argument is None else f"{verb} {argument}")
        if verb == "USER" and draw(st.integers(0, 5)):
            found.append(f"PASS {password(argument) if draw(st.integers(0, 4)) else 'wrong'}")
        if verb == "REIN" and draw(st.booleans()):
            found += [*draw(starts()), f"USER {name}", f"PASS {password(name)}"]
    return found


def starts() -> st.SearchStrategy[list[str]]:
    return st.sampled_from([[], ["AUTH TLS"], ["AUTH TLS"], ["AUTH SSL"], ["HOST localhost", "AUTH TLS"]])


def certificates(name: str) -> st.SearchStrategy[str]:
    """Mostly the right one; the others are trusted too."""
    return st.sampled_from([name, name, name, name, "", "", "twin", "twin", *NAMES])


@st.composite
def plans(draw: st.DrawFn, configuration: Configuration) -> Plan:
    """A session: mostly one that gets in, since most of what can go wrong lies behind a login."""
    name, number = draw(st.sampled_from(NAMES)), draw(st.integers(0, len(configuration.ports) - 1))
    own = draw(st.lists(faces(name), min_size=1, max_size=2))
    prelude = list(draw(starts()))
    if draw(st.integers(0, 4)):
        port, person = configuration.ports[number], next(p for p in configuration.people if p.name == name)
        fitting = [face for face in SAFE_FACES if configuration.welcomes(port, person, face)]
        if fitting:
            own[0] = replace(draw(st.sampled_from(fitting)), certificate=draw(certificates(name)))
        both = {configuration.word(port, one)["control"] for one in (None, person)}
        prelude = ["AUTH TLS"] if port.kind == "explicit" and "forbidden" not in both else []
    if draw(st.integers(0, 7)):
        prelude += [f"USER {name}", f"PASS {password(name)}"]
    level = draw(st.sampled_from(["P", "P", "P", "C", ""]))
    prelude += ["PBSZ 0", f"PROT {level}"] if level else []
    if draw(st.integers(0, 5)) == 1:
        prelude.append("CCC")
    return Plan(
        port=number,
        faces=tuple(own),
        lines=(*prelude, *draw(lines(name))),
        ways=tuple(draw(st.lists(st.sampled_from(WAYS), min_size=1, max_size=4))),
        other=replace(own[0], certificate=draw(certificates(name)))
        if draw(st.booleans())
        else draw(faces(name)),
    )


SAFE_FACES = [Face("", version, suite) for version, suites in SUITES.items() for suite in suites]
WAYS = ["resume", "resume", "full", "foreign", "clear", "other", "other"]


@pytest.fixture(scope="module")
def wardrobe(tmp_path_factory: pytest.TempPathFactory) -> Wardrobe:
    return Wardrobe(tmp_path_factory.mktemp("faces"))


def visit_all(
    config: Config, work: Path, wardrobe: Wardrobe, configuration: Configuration, todo: list[Plan]
) -> None:
    """Start a server and let one session after the other be judged."""
    kinds: dict[str, set[str]] = {}
    with running(config, work) as server:
        forgiving(server)
        for plan in todo:
            furnish(server.root)
            visit = Visit(server, wardrobe, configuration, plan, kinds)
            with visit.client:
                try:
                    visit.run()
                except BaseException as error:
                    error.add_note("\n".join(visit.log))
                    raise


LOGIN = ("AUTH TLS", f"USER {USER}", f"PASS {PASSWORD}", "PBSZ 0", "PROT P", "EPSV", "RETR /a", "PWD")
OLD, NEW = Face("", "1.2", SUITES["1.2"][0]), Face("", "1.3")
EXPLICIT, NEWER = (Port("explicit"),), {"acceptable_tls_version": "1.3"}
RARE = {
    "account-version-on-data": (Configuration({}, EXPLICIT, (Person(USER, NEWER),)), NEW, OLD),
    "account-version-at-login": (Configuration({}, EXPLICIT, (Person(USER, NEWER),)), OLD, NEW),
    "listener-version-on-control": (Configuration({}, (Port("explicit", NEWER),), (Person(USER),)), OLD, NEW),
    "listener-version-on-data": (Configuration({}, (Port("explicit", NEWER),), (Person(USER),)), NEW, OLD),
    "certificate-demanded": (
        Configuration({"client_certificate": "required"}, EXPLICIT, (Person(USER),)),
        NEW,
        NEW,
    ),
}


@pytest.mark.parametrize("case", RARE)
def test_what_is_drawn_seldom_is_tried_always(wardrobe: Wardrobe, tmp_path: Path, case: str) -> None:
    configuration, face, other = RARE[case]
    plan = Plan(port=0, faces=(face,), lines=LOGIN, ways=("other",), other=other)
    visit_all(written(tmp_path, **configuration.texts()), tmp_path, wardrobe, configuration, [plan])


@settings(
    max_examples=max(1, settings().max_examples // 2),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
)
@given(data=st.data())
def test_no_order_of_commands_gets_round_a_policy_that_was_drawn(wardrobe, tmp_path_factory, data):
    configuration = data.draw(configurations(wardrobe.shown))
    todo = data.draw(st.lists(plans(configuration), min_size=8, max_size=12))
    work = tmp_path_factory.mktemp("drawn")
    try:
        config = written(work, **configuration.texts())
    except ConfigError:
        reject()
    visit_all(config, work, wardrobe, configuration, todo)
