"""How a client may show itself: certificates, TLS versions and cipher suites to draw from."""

from __future__ import annotations

import functools
import hashlib
import ssl
from dataclasses import dataclass
from pathlib import Path

from hypothesis import strategies as st
from live_server import USER, authority
from raw_client import client_context

from lockgate.tls.devcert import ensure_certificate

__all__ = ["NAMES", "SUITES", "Face", "Shown", "Wardrobe", "faces"]

NAMES = (USER, "bob", "carol", "dave")
STRANGERS = ("twin", "mallory")
SUITES = {"1.2": ("ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384"), "1.3": ("",)}


@dataclass(frozen=True)
class Shown:
    """What a certificate says, each in the words of the account keys."""

    subject: str
    email: str
    uri: str
    fingerprint: str


@dataclass(frozen=True)
class Face:
    """A client's TLS: whose certificate ("" none, "self": signed by itself), one version, one suite."""

    certificate: str
    version: str
    suite: str = ""


@st.composite
def faces(draw: st.DrawFn, name: str) -> Face:
    """Mostly the certificate of the one who is to log in, or none."""
    others = st.sampled_from([*NAMES, *STRANGERS, "", "self"])
    certificate = draw(st.sampled_from([name, name, "", None]))
    if certificate not in (*NAMES, ""):
        certificate = draw(others)
    version = draw(st.sampled_from(["1.2", "1.3", "1.3"]))
    return Face(certificate, version, draw(st.sampled_from(SUITES[version])))


class Wardrobe:
    """The certificates and contexts of a run.

    The twin has bob's subject, carol's e-mail address and dave's URI, so that no key is like another.
    """

    def __init__(self, folder: Path) -> None:
        self.shown: dict[str, Shown] = {}
        self._files: dict[str, tuple[Path, Path]] = {}
        self._ca_file = authority().write(folder)
        for name in (*NAMES, *STRANGERS):
            subject, email, uri = ("bob", "carol", "dave") if name == "twin" else (name,) * 3
            words = f"CN={subject},O=Gate", f"{email}@gate.example", f"urn:gate:{uri}"
            issued = authority().issue_client(words[0], emails=[words[1]], uris=[words[2]])
            written = issued.write(folder, name)
            self._files[name] = written.certificate, written.key
            self.shown[name] = Shown(*words, hashlib.sha256(issued.der).hexdigest())
        own = ensure_certificate(folder / "self")
        self._files["self"] = own.certificate, own.key
        self.context = functools.cache(self._context)

    def _context(self, face: Face) -> ssl.SSLContext:
        """Return the context of a face; sessions are offered within one context only."""
        files = self._files.get(face.certificate)
        context = client_context(self._ca_file, version=face.version, certificate=files)
        if face.suite:
            context.set_ciphers(face.suite)
        return context
