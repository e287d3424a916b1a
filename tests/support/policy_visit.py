"""One client's session against a server whose configuration was drawn, told to the reference step by step.

`Reference` says what the RFCs refuse; here stand docs/policy.md's words on who may log in with which
certificate and TLS, and what may have changed on disk afterwards.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from client_faces import Face, Shown, Wardrobe
from data_visit import NEW, Bond, DataSide
from drawn_policies import Configuration, Person
from live_server import LiveServer
from raw_client import RawClient, Reply
from reference_model import ALLOWED, DATA, LISTINGS, UPLOADS, Reference

__all__ = ["Plan", "Visit", "furnish"]

NEEDED = {
    **dict.fromkeys(("RETR",), "read"),
    **dict.fromkeys((*UPLOADS,), "write"),
    **dict.fromkeys((*LISTINGS, "MLST"), "list"),
    **dict.fromkeys(("DELE", "RMD"), "delete"),
    **dict.fromkeys(("RNFR", "RNTO"), "rename"),
    "MKD": "mkdir",
}
CODES = {
    "AUTH": {234},
    "CCC": {200},
    "PBSZ": {200},
    "PROT": {200},
    "REIN": {220},
    "NOOP": {200},
    "PWD": {257},
    "PASV": {227},
    "TYPE": {200},
    "REST": {350},
    "ABOR": {226},
    "CWD": {250, 550},
    "HOST": {220, 504},
    "RNFR": {350, 550},
    "RNTO": {250, 550},
    "DELE": {250, 550},
    "MKD": {257, 550},
    "RMD": {250, 550},
    "MLST": {250, 501, 550},
    "SIZE": {213, 550},
    "PORT": {200},
    "EPRT": {200},
}
FOLDERS = ("", "secret/", "pub/", "pub/in/")
Tree = dict[str, bytes | None]


def furnish(root: Path) -> None:
    """Put the files back that every session begins with, and nothing else."""
    for path in sorted(root.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    for folder in FOLDERS:
        (root / folder).mkdir(exist_ok=True)
        (root / folder / "a").write_bytes(f"what is kept in /{folder}a".encode())


def tree(root: Path) -> Tree:
    """Return every path with its content; None stands for a directory."""
    return {
        f"/{path.relative_to(root)}": None if path.is_dir() else path.read_bytes() for path in root.rglob("*")
    }


@dataclass(frozen=True)
class Plan:
    """What a client is about to do: its faces from one AUTH to the next, its lines, its data connections."""

    port: int
    faces: tuple[Face, ...]
    lines: tuple[str, ...]
    ways: tuple[str, ...]
    other: Face


class Visit:
    """One session.

    Args:
        server: The server.
        wardrobe: Where faces come from.
        configuration: What the server was told.
        plan: What is done.
        kinds: For names that nobody has, the ways of `control` that the answers so far agree with.
    """

    def __init__(
        self,
        server: LiveServer,
        wardrobe: Wardrobe,
        configuration: Configuration,
        plan: Plan,
        kinds: dict[str, set[str]],
    ) -> None:
        self.server, self.wardrobe, self.configuration, self.plan = server, wardrobe, configuration, plan
        self.kinds, self.log = kinds, [f"{plan}"]
        self.port = configuration.ports[plan.port % len(configuration.ports)]
        self.people = {one.name: one for one in configuration.people}
        implicit = self.port.kind == "implicit"
        number = {"implicit": server.implicit_port, "none": server.clear_port}.get(
            self.port.kind, server.port
        )
        asked = {name: configuration.asked(self.port, one) for name, one in self.people.items()}
        self.reference = Reference(configuration.asked(self.port), implicit, asked)
        self.handshakes = self.transfers = 0
        self.bond: Bond | None = None
        self.is_over = False
        self.client = RawClient(server.host, number, greet=not implicit)
        self.data = DataSide(server, wardrobe, configuration, self.port, self.client)
        if implicit:
            self.begin_tls(greeting=True)

    # --- the steps ---

    def run(self) -> None:
        """Do what was planned."""
        for line in self.plan.lines:
            if not self.is_over:
                self.step(line)
        if not self.is_over:
            code = self.client.command("PWD").code
            assert code == (257 if self.reference.logged_in else 530)
            assert isinstance(self.client.sock, ssl.SSLSocket) == self.reference.tls

    def step(self, line: str) -> None:
        """Send one line and judge what comes of it."""
        verb, _, argument = line.partition(" ")
        if verb in ("PORT", "EPRT"):
            line = self.data.line(verb, argument)
        given = line.partition(" ")[2]
        refused, before = self.reference.refusal(verb, given), tree(self.server.root)
        person = self.person if self.reference.logged_in else None
        reply = self.client.command(line)
        self.log.append(f"{line} -> {reply}")
        if refused is not ALLOWED:
            assert reply.code == refused.code, (reply, refused)
            assert refused.about in reply
            assert tree(self.server.root) == before
            return
        if not self.may(verb, given, person):
            assert reply.code == 550, "not permitted"
        elif verb in DATA and reply.code == 150:
            reply = self.transfer(verb, given, before)
        else:
            codes = self.expected(verb, argument, before)
            assert reply.code in codes, (reply, codes)
        self.judge_files(verb, given, reply, before)
        self.follow(verb, given, reply)

    @property
    def person(self) -> Person:
        """Who was named last."""
        return self.people[self.reference.user]

    def may(self, verb: str, argument: str, person: Person | None) -> bool:
        """docs/files.md, the table of permissions."""
        if person is None:
            return True
        if verb == "SIZE":
            return bool(person.permissions & {"read", "list"}) or person.is_blind
        needed = "list" if verb == "STAT" and argument else NEEDED.get(verb)
        return needed is None or needed in person.permissions

    def expected(self, verb: str, argument: str, before: Tree) -> set[int]:
        """The codes that a command may get which no paragraph refuses."""
        match verb:
            case "USER":
                return self.of_user(argument)
            case "PASS":
                return {230} if self.lets_in(argument) else {530}
            case "EPSV":
                return {200 if argument == "ALL" else 229}
            case "PORT" | "EPRT" if argument in ("bounce", "low"):
                return {504}
            case "STAT":
                return {212, 213, 550} if argument else {211}
            case "RETR" if before.get(self.reference.seen(argument)) is not None:
                return {150}
            case _ if verb in DATA:
                return {450, 501, 504, 550, 553}
            case _:
                return CODES[verb]

    def follow(self, verb: str, given: str, reply: Reply) -> None:
        """Do what the reply makes a client do, and tell the reference."""
        was_tls, code = self.reference.tls, reply.code
        self.reference.happened(verb, given, code)
        if (verb, code) in (("PASV", 227), ("EPSV", 229), ("PORT", 200), ("EPRT", 200)):
            self.data.set_up(verb, reply)
        if (verb, code) == ("AUTH", 234):
            self.begin_tls(greeting=False)
        elif verb in ("CCC", "REIN") and was_tls and not self.reference.tls:
            assert self.bond is not None
            self.bond.session = self.client.session or self.bond.session
            self.client.stop_tls()
        if verb == "REIN" and self.bond is not None:
            self.bond = replace(self.bond, has_ticket=False) if self.reference.tls else None
        if not self.reference.endpoint:
            self.data.drop()

    # --- TLS and login ---

    def begin_tls(self, *, greeting: bool) -> None:
        """Run the handshake with the next face, and see that what is not acceptable ends the session."""
        faces = self.plan.faces
        face = faces[self.handshakes % len(faces)]
        self.handshakes += 1
        self.client.context = self.wardrobe.context(face)
        good = self.data.shakes_hands(face)
        self.bond = Bond(face, face.certificate if self.configuration.has_ca else "")
        try:
            self.client.start_tls()
            acceptable = self.is_acceptable(None)
            missing = self.configuration.demands_certificate(self.port) and not self.bond.certificate
            if good and acceptable and not missing and not greeting:
                return
            reply = self.client.read()
        except (OSError, EOFError):
            assert not good, "the handshake failed"
            self.is_over = True
            return
        assert good, "the handshake should have failed"
        self.is_over = not acceptable or missing
        assert reply.code == (421 if self.is_over else 220)
        assert not self.is_over or self.client.at_end()

    def is_acceptable(self, person: Person | None) -> bool:
        """RFC 4217 section 10.1: the parameters of the control connection, if it is in TLS."""
        if not isinstance(self.client.sock, ssl.SSLSocket):
            return True
        version = (self.client.sock.version() or "").removeprefix("TLSv")
        cipher = (self.client.sock.cipher() or ("",))[0]
        return self.configuration.accepts(self.port, person, version=version, cipher=cipher)

    def of_user(self, name: str) -> set[int]:
        """docs/policy.md, control and client certificates."""
        refusal = 534 if self.reference.tls else 530
        wrong = "forbidden" if self.reference.tls else "required"
        person = self.people.get(name)
        if person is None:
            return self.of_nobody(name, refusal, wrong)
        word = self.configuration.word(self.port, person)
        if word["control"] == wrong:
            return {refusal}
        alone = word["client_certificate"] == "sufficient" and person.keys and person.fits(self.shown)
        return {232} if alone and self.is_acceptable(person) else {331}

    def of_nobody(self, name: str, refusal: int, wrong: str) -> set[int]:
        """As one of the accounts would be answered, always the same one; which is the server's secret."""
        listener = self.configuration.word(self.port)["control"]
        kinds = self.kinds.setdefault(name, {one.words.get("control", "") for one in self.people.values()})
        found = {kind: refusal if (kind or listener) == wrong else 331 for kind in kinds}
        told = int(self.log[-1].rpartition(" -> ")[2][:3])
        kinds &= {kind for kind, code in found.items() if code == told}
        return set(found.values())

    @property
    def shown(self) -> Shown | None:
        """The certificate that counts for a login: while the control connection is in TLS."""
        if not self.reference.tls or self.bond is None or not self.bond.certificate:
            return None
        return self.wardrobe.shown[self.bond.certificate]

    def lets_in(self, password: str) -> bool:
        """The password must be right, and everything else agree."""
        person = self.people.get(self.reference.user)
        if person is None or not person.has_password or password != person.password:
            return False
        rule = self.configuration.word(self.port, person)["client_certificate"]
        needed = rule == "required" or (rule == "optional" and self.shown is not None)
        return self.is_acceptable(person) and (person.fits(self.shown) or not needed)

    # --- files ---

    def transfer(self, verb: str, argument: str, before: Tree) -> Reply:
        """Move data at the level that the reference knows, and return the final reply."""
        way = self.plan.ways[self.transfers % len(self.plan.ways)]
        self.transfers += 1
        bond = self.bond if self.reference.level == "P" else None
        if bond is not None:
            bond.session = self.client.session or bond.session
        refused, received = self.data.move(
            verb, bond=bond, person=self.person, way=way, other=self.plan.other
        )
        reply = self.client.read()
        self.log.append(f"  {way} at {self.reference.level}: {reply} {received!r}")
        if refused:
            assert reply.code == 522, (way, reply)
            assert not received, "data moved on a connection that must be refused"
            assert tree(self.server.root) == before
            self.reference.happened(verb, argument, 226)
            return reply
        assert reply.code == 226, (way, reply)
        if verb == "RETR":
            content = before[self.reference.seen(argument)]
            assert content is not None
            assert content.endswith(received)
            assert received
        return reply

    def judge_files(self, verb: str, argument: str, reply: Reply, before: Tree) -> None:
        """Nothing has changed but what the command may change."""
        after = tree(self.server.root)
        touched = {path for path in {*before, *after} if before.get(path, b"") != after.get(path, b"")}
        touched |= before.keys() ^ after.keys()
        if not touched:
            return
        assert reply.code in (226, 250, 257), touched
        assert self.reference.logged_in
        meant = self.reference.seen(argument)
        if self.person.is_blind and verb in UPLOADS:
            assert not touched & before.keys(), "a drop box has harmed what was there"
        match verb:
            case "STOR" | "APPE":
                assert all(path == meant or path.startswith(f"{meant}.") for path in touched)
                assert all((after[path] or b"").endswith(NEW) for path in touched)
            case "STOU":
                assert not touched & before.keys()
            case "RNTO":
                replacing = bool(self.person.permissions & {"write", "delete"}) and not self.person.is_blind
                assert replacing or "delete" in self.person.permissions or meant not in before
                self.judge_rename(meant, touched, before, after)
            case "DELE" | "RMD" | "MKD":
                assert touched == {meant}
            case _:
                raise AssertionError(f"{verb} has changed {touched}")

    def judge_rename(self, meant: str, touched: Iterable[str], before: Tree, after: Tree) -> None:
        """What was under one name is under another; nothing else has changed."""
        for path in touched:
            is_new = path == meant or path.startswith(f"{meant}/")
            assert path in after if is_new else path not in after
            assert not is_new or after[path] in before.values()
