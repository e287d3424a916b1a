"""Random sessions against a live server: nothing that a policy forbids comes about, on the wire and on disk.

The reference says what must be refused; beyond it stand here the users, whose logins the core knows nothing
of, and the data connections, whose bytes must be in TLS or in clear as the level says.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from live_server import LiveServer, authority, cheap_hash, live_server
from raw_client import RawClient, client_context, read_all
from reference_model import ALLOWED, DATA, UPLOADS, Asked, PathRule, Reference
from tls_bytes import forgiving

KEPT, NEW = b"kept content", b"new content"
RULES = (
    PathRule("/secret", "required"),
    PathRule("/plain", "forbidden"),
    PathRule("/drop", "required", "upload"),
    PathRule("/drop", "optional", "any", by_name=True),
)
RULE_TEXT = """
[[rule]]
path = "/secret"
data = "required"
[[rule]]
path = "/plain"
data = "forbidden"
[[rule]]
path = "/drop"
data = "required"
direction = "upload"
[[rule]]
path = "/drop"
data = "optional"
accounts = ["named"]
"""


@dataclass(frozen=True)
class User:
    """What an account says of its own; "" leaves it to the listener."""

    control: str = ""
    data: str = ""
    ccc: str = ""
    certificate: str = ""
    subject: str = ""
    version: str = ""

    def toml(self, name: str) -> str:
        """Write it as the configuration has it; the password is the name."""
        keys = {
            "control": self.control,
            "data": self.data,
            "clear_command_channel": self.ccc,
            "client_certificate": self.certificate,
            "certificate_subject": self.subject,
            "acceptable_tls_version": self.version,
        }
        said = "".join(f'{key} = "{value}"\n' for key, value in keys.items() if value)
        hashed = cheap_hash(name)
        return f'[[account]]\nname = "{name}"\npassword_hash = "{hashed}"\nhome = "root"\n{said}'


USERS = {
    "free": User(),
    "named": User(),
    "tls": User(control="required"),
    "plain": User(control="forbidden", data="optional"),
    "private": User(data="required"),
    "clear": User(data="forbidden"),
    "ccc": User(ccc="after-login"),
    "cert": User(certificate="sufficient", subject="CN=cert"),
    "both": User(certificate="required", subject="CN=both"),
    "maybe": User(certificate="optional", subject="CN=maybe"),
    "new": User(version="1.3"),
}


@dataclass(frozen=True)
class Place:
    """A server: what its `[policy]` says, as its file and the reference have it, and who is there."""

    policy: str
    asked: Asked
    users: tuple[str, ...]
    certificate: str = "off"
    version: str = "1.2"
    rules: str = RULE_TEXT

    def asked_of(self, name: str) -> Asked:
        """What holds for a user who is logged in."""
        own = USERS[name]
        rules = tuple(rule for rule in RULES if not rule.by_name or name == "named") if self.rules else ()
        return replace(
            self.asked,
            control=own.control or self.asked.control,
            data=own.data or self.asked.data,
            ccc=own.ccc == "after-login" or self.asked.ccc,
            rules=rules,
        )


GENERAL = tuple(rule for rule in RULES if not rule.by_name)
PLACES = {
    "open": Place(
        'control = "optional"\ndata = "optional"',
        Asked("optional", "optional", rules=GENERAL),
        tuple(USERS),
    ),
    "safe": Place(
        'clear_command_channel = "after-login"\nclient_certificate = "optional"\nlegacy_auth = false',
        Asked("required", "required", ccc=True, legacy=False, rules=GENERAL),
        ("free", "named", "tls", "clear", "cert", "maybe", "new"),
        certificate="optional",
    ),
    "strict": Place(
        'client_certificate = "required"\nacceptable_tls_version = "1.3"',
        Asked("required", "required"),
        ("free", "named", "both"),
        certificate="required",
        version="1.3",
        rules="",
    ),
}
NAMES = (*USERS, "nobody", "somebody")
SUBJECTS = (None, "CN=cert", "CN=both", "CN=mallory")


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, LiveServer]]:
    with ExitStack() as stack:
        started = {}
        for name, place in PLACES.items():
            work = tmp_path_factory.mktemp(name)
            server = stack.enter_context(
                live_server(
                    work,
                    policy=f'session_reuse = "off"\n{place.policy}',
                    limits="login_attempts = 1000",
                    tls='client_ca = "ca.pem"',
                    account='client_certificate = "required"' if place.certificate == "required" else "",
                    more_accounts="".join(USERS[user].toml(user) for user in place.users) + place.rules,
                )
            )
            for folder in ("secret", "plain", "drop", "pub"):
                (server.root / folder).mkdir()
            started[name] = forgiving(server)
        yield started


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> dict[str | None, tuple[object, object] | None]:
    work = tmp_path_factory.mktemp("certificates")
    files: dict[str | None, tuple[object, object] | None] = {None: None}
    for number, subject in enumerate(one for one in SUBJECTS if one):
        written = authority().issue_client(subject).write(work, f"client-{number}")
        files[subject] = (written.certificate, written.key)
    return files


PATHS = ["a", "/secret/a", "/pub/a", "/plain/a", "/drop/a", "secret/../pub/a", "../secret/a"]
ARGUMENTS = {
    "USER": NAMES,
    "AUTH": ["TLS", "TLS", "SSL", "X"],
    "PBSZ": ["0"],
    "PROT": ["P", "P", "C", "C", "S"],
    "CWD": ["/", "secret", "/pub", "/plain", "/drop", ".."],
    "RETR": PATHS,
    "STOR": PATHS,
    "APPE": PATHS,
    "STOU": [None, "/secret/x", "/drop/x"],
    "LIST": [None, "-la", "-la /secret", "/plain"],
    "NLST": [None, "/secret", "-l/../plain"],
    "MLSD": [None, "/secret"],
}
VERBS = (*ARGUMENTS, *DATA, "EPSV", "EPSV", "EPSV", "CCC", "REIN", "PWD", "NOOP")


@st.composite
def commands(draw: st.DrawFn) -> list[str]:
    """Some lines, likely ones; a password mostly follows its name, an endpoint its transfer."""
    lines = []
    for _ in range(draw(st.integers(1, 9))):
        verb = draw(st.sampled_from(VERBS))
        argument = draw(st.sampled_from(ARGUMENTS.get(verb, [None])))
        if verb in DATA and draw(st.integers(0, 3)):
            lines.append("EPSV")
        lines.append(verb if argument is None else f"{verb} {argument}")
        if verb == "USER" and draw(st.integers(0, 5)):
            lines.append(f"PASS {argument if draw(st.integers(0, 4)) else 'wrong'}")
    return lines


@st.composite
def preludes(draw: st.DrawFn) -> list[str]:
    """What leads to a login at a level, since most of what can go wrong lies behind one."""
    name, level = draw(st.sampled_from(NAMES)), draw(st.sampled_from("CP"))
    start = draw(st.sampled_from([[], ["AUTH TLS"], ["AUTH TLS", "PBSZ 0", f"PROT {level}"]]))
    login = draw(st.sampled_from([[], [f"USER {name}", f"PASS {name}"]]))
    end = draw(st.sampled_from([[], ["PBSZ 0", f"PROT {level}"], ["CCC"], ["CWD secret"]]))
    return start + login + end


class Visit:
    """One client's session, told to the reference step by step."""

    def __init__(
        self,
        server: LiveServer,
        place: Place,
        *,
        subject: str | None,
        files: tuple[object, object] | None,
        version: str,
        implicit: bool,
    ) -> None:
        self.server, self.place, self.version = server, place, version
        self.subject = subject
        self.reference = Reference(
            place.asked, implicit, {name: place.asked_of(name) for name in place.users}
        )
        context = client_context(server.ca_file, version=version, certificate=files)  # type: ignore[arg-type]
        port = server.implicit_port if implicit else server.port
        self.client = RawClient(server.host, port, context=context, implicit=implicit)
        self.data = None
        self.is_over = implicit and self.is_unacceptable
        assert self.client.greeting.code == (421 if self.is_over else 220)

    @property
    def is_unacceptable(self) -> bool:
        """RFC 4217 section 10.1: what TLS came to is not acceptable to the listener."""
        missing = self.place.certificate == "required" and self.subject is None
        return missing or self.version < self.place.version

    def run(self, lines: list[str]) -> None:
        for line in lines:
            if self.is_over:
                break
            verb, _, argument = line.partition(" ")
            refused = self.reference.refusal(verb, argument)
            if verb in DATA and refused is ALLOWED:
                self.transfer(verb, argument, line)
                continue
            reply = self.client.command(line)
            if refused is not ALLOWED:
                assert reply.code == refused.code, (line, reply, refused)
                assert refused.about in reply
                continue
            assert reply.code in self.expected(verb, argument), (line, reply)
            if verb in ("AUTH", "REIN", "EPSV", "CCC"):
                self.follow(verb, reply)
            self.reference.happened(verb, argument, reply.code)
        if not self.is_over:
            self.judge_end()

    def judge_end(self) -> None:
        """What the server thinks of itself is what the reference thinks of it."""
        code = self.client.command("PWD").code
        assert code == (257 if self.reference.logged_in else 530)
        assert isinstance(self.client.sock, ssl.SSLSocket) == self.reference.tls

    def follow(self, verb: str, reply: str) -> None:
        """Do what the reply makes a client do: TLS begins or ends, data is connected."""
        if verb == "AUTH":
            self.client.start_tls()
            if self.is_unacceptable:
                assert self.client.read().code == 421
                assert self.client.at_end()
                self.is_over = True
        elif verb == "EPSV":
            self.data = self.client.connect_data(int(reply.split("|")[3]))
        elif self.reference.tls and not (verb == "REIN" and self.reference.implicit):
            self.client.stop_tls()

    def expected(self, verb: str, argument: str) -> tuple[int, ...]:
        """The codes that a command may get which no paragraph refuses."""
        match verb:
            case "USER":
                return self.of_user(argument)
            case "PASS":
                name = self.reference.user
                return (230,) if argument == name and self.lets_in(name) else (530,)
            case "CWD":
                return (250, 550)
            case _:
                codes = {"AUTH": 234, "EPSV": 229, "REIN": 220, "PWD": 257}
                return (codes.get(verb, 200),)

    def of_user(self, name: str) -> tuple[int, ...]:
        refusal = 534 if self.reference.tls else 530
        if name not in self.place.users:
            # As one of the accounts would be answered; which one is the server's secret.
            return (331, refusal) if self.place.asked.control == "optional" else (331,)
        own = USERS[name].control or self.place.asked.control
        if own == {True: "forbidden", False: "required"}[self.reference.tls]:
            return (refusal,)
        return (232,) if self.rule(name) == "sufficient" and self.fits(name) and self.is_new(name) else (331,)

    def rule(self, name: str) -> str:
        return USERS[name].certificate or self.place.certificate

    def fits(self, name: str) -> bool:
        """A certificate was shown, and it is this user's, as far as anything is said of that."""
        shown = self.subject if self.reference.tls else None
        return shown is not None and USERS[name].subject in ("", shown)

    def is_new(self, name: str) -> bool:
        return not self.reference.tls or self.version >= USERS[name].version

    def lets_in(self, name: str) -> bool:
        """The password was right: does everything else agree."""
        if name not in self.place.users or not self.is_new(name):
            return False
        shown = self.subject is not None and self.reference.tls
        needed = {"required": True, "optional": shown}.get(self.rule(name), False)
        return self.fits(name) or not needed

    def transfer(self, verb: str, argument: str, line: str) -> None:
        """Move data at the level that the reference knows, and see that it moves so."""
        for folder in ("", "secret/", "plain/", "drop/", "pub/"):
            (self.server.root / f"{folder}a").write_bytes(KEPT)
        reply = self.client.command(line)
        if reply.code in (550, 501):
            return
        assert reply.code == 150, (line, reply)
        assert self.data is not None
        sock, self.data = self.data, None
        if self.reference.level == "P":
            sock = self.client.protect_data(sock, reuse=False)
        if verb in UPLOADS:
            sock.sendall(NEW)
            if isinstance(sock, ssl.SSLSocket):
                sock = sock.unwrap()
            sock.close()
        else:
            received = read_all(sock)
            assert verb != "RETR" or received in (KEPT, KEPT + NEW)
            assert not received.startswith(b"\x16\x03")
        reply = self.client.read()
        assert reply.code == 226, (line, reply)
        self.reference.happened(verb, argument, 226)


@pytest.mark.requirement("R4217-10.1-e", "R4217-10.1-a", "R4217-10.2-a", "R4217-10.2-c", side="S")
@settings(
    max_examples=max(120, settings().max_examples),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(
    where=st.sampled_from(sorted(PLACES)),
    subject=st.sampled_from(SUBJECTS),
    version=st.sampled_from(["1.2", "1.3"]),
    implicit=st.booleans(),
    prelude=preludes(),
    lines=commands(),
)
@example("open", "CN=mallory", "1.3", False, ["AUTH TLS", "USER both", "PASS both"], ["PWD"])
@example("open", None, "1.3", False, ["AUTH TLS", "USER both", "PASS both"], ["PWD"])
@example("open", "CN=both", "1.2", False, ["AUTH TLS", "USER both", "PASS both"], ["REIN", "USER both"])
@example("open", "CN=both", "1.2", False, ["AUTH TLS", "USER cert", "PASS cert"], ["PWD"])
@example("open", "CN=cert", "1.3", False, ["AUTH TLS", "USER cert"], ["REIN", "USER cert", "PASS wrong"])
@example("open", "CN=cert", "1.3", True, ["USER cert"], ["REIN", "USER cert", "PWD"])
@example("open", "CN=mallory", "1.2", False, ["AUTH TLS", "USER maybe", "PASS maybe"], ["PWD"])
@example("open", None, "1.2", False, ["AUTH TLS", "USER new", "PASS new"], ["PWD"])
@example("open", None, "1.3", False, ["USER tls", "PASS tls"], ["USER plain", "PASS plain", "EPSV", "NLST"])
@example("open", None, "1.3", True, ["USER plain", "PASS plain"], ["USER tls", "PASS tls", "PWD"])
@example("open", None, "1.3", True, ["USER ccc", "PASS ccc", "CCC"], ["EPSV", "NLST", "PROT C", "REIN"])
@example(
    "open", None, "1.3", False, ["USER free", "PASS free"], ["CWD secret", "EPSV", "STOU", "LIST", "NLST"]
)
@example("open", None, "1.3", True, ["USER free", "PASS free"], ["CWD plain", "EPSV", "RETR a", "LIST -la"])
@example("open", None, "1.3", False, ["USER free", "PASS free"], ["EPSV", "STOR /drop/a", "RETR /drop/a"])
@example("open", None, "1.3", False, ["USER named", "PASS named"], ["EPSV", "STOR /drop/a", "PWD"])
@example("open", None, "1.3", True, ["USER private", "PASS private"], ["PBSZ 0", "PROT C", "EPSV", "NLST"])
@example("open", None, "1.3", True, ["USER clear", "PASS clear"], ["EPSV", "NLST", "PBSZ 0", "PROT P"])
@example("safe", "CN=mallory", "1.3", True, ["USER cert", "PASS cert"], ["CCC", "EPSV", "NLST"])
@example("safe", "CN=mallory", "1.3", True, ["USER maybe", "PASS maybe"], ["PWD"])
@example("safe", None, "1.2", True, ["USER new", "PASS new"], ["PWD"])
@example("open", None, "1.3", True, ["USER ccc", "PASS ccc"], ["REIN", "CCC"])
@example("open", None, "1.3", False, ["USER ccc", "PASS ccc"], ["CCC"])
@example("strict", "CN=both", "1.3", True, ["USER both", "PASS both"], ["PBSZ 0", "PROT C", "EPSV", "NLST"])
@example("strict", None, "1.3", True, [], [])
@example("strict", "CN=both", "1.2", False, ["AUTH TLS"], [])
@example("strict", "CN=mallory", "1.3", True, ["USER both", "PASS both"], ["PWD"])
@example("strict", "CN=both", "1.3", True, ["USER both", "PASS both"], ["EPSV", "NLST"])
def test_no_order_of_commands_gets_round_the_policies_of_a_live_server(
    servers, certificates, where, subject, version, implicit, prelude, lines
):
    visit = Visit(
        servers[where],
        PLACES[where],
        subject=subject,
        files=certificates[subject],
        version=version,
        implicit=implicit,
    )
    with visit.client:
        visit.run(prelude + lines)
