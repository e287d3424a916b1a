"""Whole configurations drawn at random, and what docs/policy.md says of them; shares nothing with the server.

A layer is the text's own keys and values: what an account says goes over the listener's word, the listener's
over `[policy]`'s. What is drawn is mended where the configuration check is known to refuse it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from client_faces import NAMES, Face, Shown
from hypothesis import strategies as st
from live_server import PASSWORD, USER, cheap_hash
from reference_model import Asked, PathRule

__all__ = ["Configuration", "Person", "Port", "configurations"]

Layer = dict[str, Any]
DEFAULTS: Layer = {
    "control": "required",
    "data": "required",
    "session_reuse": "auto",
    "client_certificate": "off",
    "clear_command_channel": "off",
    "legacy_auth": True,
    "acceptable_tls_version": "1.2",
    "acceptable_ciphers": [],
}
SMALL, LARGE = "ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384"
NEWEST = "TLS_AES_256_GCM_SHA384"
PERMISSIONS = ("read", "write", "delete", "list", "mkdir", "rename")
KEYS = ("certificate_subject", "certificate_email", "certificate_uri", "certificate_fingerprint")
FOLDERS = ("/", "/secret", "/pub", "/pub/in")


def toml(layer: Layer) -> str:
    """Write keys and values; JSON's strings, lists and booleans are TOML's too."""
    return "".join(f"{key} = {json.dumps(value)}\n" for key, value in layer.items())


@dataclass(frozen=True)
class Person:
    """An account.

    Attributes:
        name: Its name, and its password unless it is the server's own test account.
        words: What it says over its listener's policy.
        keys: Which certificates are its own; key to value.
        permissions: What it may do.
        has_password: Is there a password.
    """

    name: str
    words: Layer = field(default_factory=dict)
    keys: Layer = field(default_factory=dict)
    permissions: frozenset[str] = frozenset(PERMISSIONS)
    has_password: bool = True

    @property
    def password(self) -> str:
        """What opens it."""
        return PASSWORD if self.name == USER else self.name

    @property
    def is_blind(self) -> bool:
        """Is it a drop box, which learns nothing and harms nothing of what is there."""
        return "write" in self.permissions and not self.permissions & {"read", "list", "delete"}

    def fits(self, shown: Shown | None) -> bool:
        """Every key must fit a certificate that was shown; without a key every certificate does."""
        if shown is None:
            return False
        return all(
            getattr(shown, key.removeprefix("certificate_")) == want for key, want in self.keys.items()
        )

    def text(self) -> str:
        """Write what stands in its table beside name, password and home."""
        return toml({"permissions": " ".join(sorted(self.permissions)), **self.words, **self.keys})

    def table(self) -> str:
        """Write the whole table."""
        hashed = {"password_hash": cheap_hash(self.password)} if self.has_password else {}
        return "[[account]]\n" + toml({"name": self.name, "home": "root", **hashed}) + self.text()


@dataclass(frozen=True)
class Port:
    """A listener: "explicit", "implicit" or "none", its policy's words and its TLS versions."""

    kind: str
    words: Layer = field(default_factory=dict)
    versions: Layer = field(default_factory=dict)

    def table(self) -> str:
        """Write it."""
        own = {**self.words, **(self.versions if self.kind != "none" else {})}
        return "[[listener]]\n" + toml({"address": "127.0.0.1", "port": 0, "tls": self.kind, **own})


@dataclass(frozen=True)
class Configuration:
    """All that a server is told."""

    policy: Layer
    ports: tuple[Port, ...]
    people: tuple[Person, ...]
    rules: tuple[tuple[PathRule, tuple[str, ...]], ...] = ()
    versions: Layer = field(default_factory=dict)
    has_ca: bool = True
    active: bool = True

    def texts(self) -> dict[str, str]:
        """Return the arguments of `live_server`."""
        rules = ""
        for rule, names in self.rules:
            said = {"path": rule.path, "data": rule.data, "direction": rule.kind}
            rules += "[[rule]]\n" + toml({**said, **({"accounts": list(names)} if rule.by_name else {})})
        return {
            "policy": toml(self.policy),
            "listeners": "\n".join(port.table() for port in self.ports),
            "tls": ('client_ca = "ca.pem"\n' if self.has_ca else "") + toml(self.versions),
            "active": toml({"enabled": self.active}),
            "limits": "login_attempts = 1000\nlockout_failures_per_address = 100000\n"
            "lockout_failures_per_account = 100000",
            "account": self.people[0].text(),
            "more_accounts": "".join(one.table() for one in self.people[1:]) + rules,
        }

    def word(self, port: Port, person: Person | None = None) -> Layer:
        """Return the policy that holds at a listener, before the login or for an account."""
        return {**DEFAULTS, **self.policy, **port.words, **(person.words if person else {})}

    def asked(self, port: Port, person: Person | None = None) -> Asked:
        """Return the part of it that the reference judges."""
        word, name = self.word(port, person), person.name if person else None
        return Asked(
            control=word["control"],
            data=word["data"],
            ccc=word["clear_command_channel"] == "after-login",
            legacy=word["legacy_auth"],
            has_tls=port.kind != "none",
            active=self.active,
            rules=tuple(rule for rule, names in self.rules if not rule.by_name or name in names),
        )

    def demands_certificate(self, port: Port) -> bool:
        """Do the listener and all accounts say that a certificate must be shown."""
        words = [self.word(port), *(self.word(port, one) for one in self.people)]
        return all(word["client_certificate"] == "required" for word in words)

    def speaks(self, port: Port, version: str) -> bool:
        """Does a handshake at a listener offer this version."""
        limits = {"minimum_version": "1.2", "maximum_version": "", **self.versions, **port.versions}
        return limits["minimum_version"] <= version <= (limits["maximum_version"] or "1.3")

    def accepts(self, port: Port, person: Person | None, *, version: str, cipher: str) -> bool:
        """Is TLS with these parameters acceptable, once it is up."""
        word = self.word(port, person)
        known = word["acceptable_ciphers"]
        return version >= word["acceptable_tls_version"] and (not known or cipher in known)

    def welcomes(self, port: Port, person: Person, face: Face) -> bool:
        """Do version and suite stand in nobody's way; a suite of TLS 1.3 is the newest one then."""
        made = {"version": face.version, "cipher": face.suite or NEWEST}
        return self.speaks(port, face.version) and all(
            self.accepts(port, one, **made) for one in (None, person)
        )


WORDS: dict[str, st.SearchStrategy[Any]] = {
    "control": st.sampled_from(["required", "optional", "optional", "forbidden"]),
    "data": st.sampled_from(["required", "optional", "optional", "forbidden"]),
    "session_reuse": st.sampled_from(["required", "auto", "off"]),
    "client_certificate": st.sampled_from(["off", "optional", "required", "sufficient"]),
    "clear_command_channel": st.sampled_from(["off", "after-login"]),
    "legacy_auth": st.booleans(),
    "acceptable_tls_version": st.sampled_from(["1.2", "1.2", "1.3"]),
    "acceptable_ciphers": st.sampled_from([[], [NEWEST, LARGE], [NEWEST, SMALL], [SMALL, LARGE]]),
}
# A listener that accepts hardly anybody hides all that lies behind it.
NARROW = ("acceptable_tls_version", "acceptable_ciphers")
VERSIONS = st.sampled_from(
    [{}, {}, {}, {"minimum_version": "1.3"}, {"maximum_version": "1.2"}, {"maximum_version": "1.3"}]
)


@st.composite
def layers(draw: st.DrawFn, *, has_ca: bool, narrow: int) -> Layer:
    """Some words of a policy; the narrowing ones in one of `narrow` layers."""
    said: Layer = {}
    for key, words in WORDS.items():
        if draw(st.integers(0, narrow if key in NARROW else 2)) == 1:
            said[key] = draw(words)
    if not has_ca:
        said.pop("client_certificate", None)
    return said


def mended(said: Layer, below: Layer, *, kind: str = "") -> Layer:
    """Take out of a layer what contradicts itself there."""
    word, said = {**DEFAULTS, **below, **said}, dict(said)
    if kind == "implicit" and word["control"] == "forbidden":
        said["control"] = word["control"] = "required"
    if kind == "none":
        said |= {key: "optional" for key in ("control", "data") if word[key] == "required"}
        said["clear_command_channel"] = "off"
    if kind == "none" or word["control"] == "forbidden":
        if word["data"] == "required":
            said["data"] = "optional"
        if word["client_certificate"] == "required":
            said["client_certificate"] = "off"
    return said


@st.composite
def people(draw: st.DrawFn, name: str, shown: dict[str, Shown], *, has_ca: bool, policy: Layer) -> Person:
    """An account of this name."""
    words = draw(layers(has_ca=has_ca, narrow=4))
    keys: Layer = {}
    # Mostly one: of several, each hides that another is not looked at.
    for _ in range(draw(st.sampled_from([0, 1, 1, 1, 2])) if has_ca else 0):
        key = draw(st.sampled_from(KEYS))
        owner = name if draw(st.integers(0, 7)) else draw(st.sampled_from(NAMES))
        keys[key] = getattr(shown[owner], key.removeprefix("certificate_"))
    if words.get("client_certificate") == "sufficient" and not keys:
        keys["certificate_email"] = shown[name].email
    if keys and "client_certificate" not in words:
        words["client_certificate"] = draw(st.sampled_from(["optional", "required", "sufficient"]))
    if keys and words["client_certificate"] == "off":
        keys = {}
    may = frozenset(PERMISSIONS)
    if draw(st.integers(0, 1)):
        may = draw(st.frozensets(st.sampled_from(PERMISSIONS), min_size=1))
    words = mended(words, policy)
    if words.get("client_certificate") == "off":
        keys = {}
    alone = words.get("client_certificate") == "sufficient" and name != USER
    has_password = not (alone and draw(st.integers(0, 3)) == 1)
    return Person(name, words, keys, may, has_password)


@st.composite
def path_rules(draw: st.DrawFn) -> tuple[tuple[PathRule, tuple[str, ...]], ...]:
    """Some rules that do not say the same thing twice."""
    found: dict[tuple[str, str, bool], tuple[PathRule, tuple[str, ...]]] = {}
    for _ in range(draw(st.integers(0, 5))):
        names = tuple(sorted(draw(st.sets(st.sampled_from(NAMES), max_size=2))))
        kind = draw(st.sampled_from(["any", "upload", "download", "list"]))
        level = draw(st.sampled_from(["required", "optional", "forbidden"]))
        rule = PathRule(draw(st.sampled_from(FOLDERS)), level, kind, by_name=bool(names))
        found[rule.path, kind, bool(names)] = rule, names
    return tuple(found.values())


def is_let_in(one: Person, ports: tuple[Port, ...], policy: Layer) -> bool:
    """Is there a listener that takes the account's login."""
    for port in ports:
        listener = {**DEFAULTS, **policy, **port.words}["control"]
        both = {listener, one.words.get("control", listener)}
        in_clear, in_tls = port.kind != "implicit", port.kind != "none"
        if (in_clear and "required" not in both) or (in_tls and "forbidden" not in both):
            return True
    return False


@st.composite
def configurations(draw: st.DrawFn, shown: dict[str, Shown]) -> Configuration:
    """A whole configuration; the check may still refuse it, for the sake of its rules mostly."""
    has_ca = draw(st.integers(0, 5)) != 1
    policy = draw(layers(has_ca=has_ca, narrow=12))
    policy = mended({**policy, "control": draw(st.sampled_from(["required", "optional"]))}, {})
    kinds = draw(
        st.sampled_from([("explicit", "implicit"), ("explicit", "none"), ("explicit",), ("implicit",)])
    )
    ports = tuple(
        Port(kind, mended(draw(layers(has_ca=has_ca, narrow=12)), policy, kind=kind), draw(VERSIONS))
        for kind in kinds
    )
    crowd = []
    for name in NAMES:
        one = draw(people(name, shown, has_ca=has_ca, policy=policy))
        if not is_let_in(one, ports, policy):
            one.words.pop("control", None)
        crowd.append(one)
    is_old = not any(port.versions for port in ports) and draw(st.integers(0, 9)) == 1
    return Configuration(
        policy=policy,
        ports=ports,
        people=tuple(crowd),
        rules=draw(path_rules()),
        versions={"maximum_version": "1.2"} if is_old else {},
        has_ca=has_ca,
        active=draw(st.integers(0, 3)) != 1,
    )
