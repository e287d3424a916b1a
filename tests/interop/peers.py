"""Start other people's FTP servers on loopback, as their manuals say, with TLS as a test wants it.

What `make peers` (tools/peers.py) has installed is started here; nothing is installed or changed. Every
server has one user, `USER` with `PASSWORD`, whose files lie under `PeerServer.root`, and a temporary
folder that goes with it. bench/ uses this module too, so it knows nothing of pytest.

vsftpd, ProFTPD and Pure-FTPd switch users, so they need root. vsftpd 3.0.3 and Pure-FTPd cannot bound the
TLS versions themselves: an OPENSSL_CONF of their own does.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from lockgate.tls.devcert import CertificateAuthority

HOST = "127.0.0.1"
USER, PASSWORD = "lockgate-peer", "correct horse"  # vsftpd: as tools/peers.py made it
# SHA-512 crypt of PASSWORD at its lowest cost: the tests and the benchmark are not about hashes.
PASSWORD_HASH = (
    "$6$rounds=1000$lockgatepeers$TcUHXb9S7nRv.WJlt.X8BlT8xcfJp5B"
    "hz1dNeBR0X4mVpAJr5C5XP5kCGA.qVmkYPrx1EeSfXcAxFo8lpQVBA0"
)

CACHE = Path(os.environ.get("LOCKGATE_PEERS") or Path(__file__).resolve().parents[2] / ".cache" / "peers")
PEERS_PYTHON = CACHE / "venv" / "bin" / "python"  # has pyftpdlib, pyOpenSSL and aioftp
CONFIGURATIONS = Path(__file__).with_name("configurations")
START_SECONDS = 15.0
STOP_SECONDS = 5.0

KINDS = ("vsftpd", "proftpd", "pure-ftpd", "pyftpdlib", "aioftp")
EXPLICIT = frozenset(KINDS) - {"aioftp"}  # aioftp's server has no AUTH
IMPLICIT = frozenset({"vsftpd", "proftpd", "aioftp"})
CAN_REQUIRE_REUSE = frozenset({"vsftpd", "proftpd"})
WITHOUT_MLSD = frozenset({"vsftpd"})
WITHOUT_ACTIVE = frozenset({"aioftp"})
WITHOUT_SIZE = frozenset({"aioftp"})

_PROGRAMS = {"vsftpd": "usr/sbin/vsftpd", "proftpd": "usr/sbin/proftpd", "pure-ftpd": "usr/sbin/pure-ftpd"}


@dataclasses.dataclass(frozen=True, slots=True)
class Certificates:
    """PEM files: a throw-away authority, and a certificate of it for localhost, 127.0.0.1 and ::1."""

    ca: Path
    certificate: Path
    key: Path


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PeerOptions:
    """How strict a peer is."""

    minimum_version: str = "1.2"
    maximum_version: str = "1.3"
    require_session_reuse: bool = False
    require_protected_data: bool = False

    def __post_init__(self) -> None:
        if not {self.minimum_version, self.maximum_version} <= {"1.2", "1.3"}:
            raise ValueError(
                f"TLS versions are 1.2 and 1.3, not {self.minimum_version}, {self.maximum_version}"
            )


def missing(kind: str) -> str | None:
    """Say why this peer cannot be started here, or None when it can."""
    if kind in _PROGRAMS and os.geteuid() != 0:
        return f"{kind} can only be started by root"
    program = CACHE / "root" / _PROGRAMS[kind] if kind in _PROGRAMS else PEERS_PYTHON
    return None if program.is_file() else f"{kind} is not installed: run make peers"


def make_certificates(folder: Path) -> Certificates:
    """Make a throw-away authority and a server certificate; blocks for some milliseconds."""
    authority = CertificateAuthority("Lockgate interop CA")
    issued = authority.issue_server().write(folder, "server")
    return Certificates(authority.write(folder), issued.certificate, issued.key)


class PeerDidNotStart(Exception):
    """The server ended or did not listen in time; the message has its log."""


class ServerProcess:
    """A server in processes of its own on loopback, with a folder that goes when it stops.

    Attributes:
        kind: Its name.
        explicit_port: The port with AUTH TLS, or None where the server has none.
        implicit_port: The port with TLS from the start, or None.
        user: The one account's name; `password` goes with it.
        root: That account's files; new files there may belong to another user, so make them readable.
        ca_file: The PEM file that verifies the server.
    """

    def __init__(self, kind: str, certificates: Certificates) -> None:
        self.kind = kind
        self.host, self.user, self.password = HOST, USER, PASSWORD
        self.ca_file = certificates.ca
        # Not below pytest's folder, which only its owner may enter: the servers become other users.
        self._folder = Path(tempfile.mkdtemp(prefix=f"lockgate-{kind}-"))
        self._folder.chmod(0o711)
        self.root, self.work = self._folder / "files", self._folder / "work"
        self.root.mkdir(mode=0o755)
        self.work.mkdir(mode=0o711)
        self.first_port, self._reservation = _reserve_ports()
        self.explicit_port: int | None = self.first_port
        self.implicit_port: int | None = self.first_port + 1
        self._processes: list[subprocess.Popen[bytes]] = []

    def commands(self) -> list[list[str]]:
        """Write what the server needs under `work` and return the command of each of its processes."""
        raise NotImplementedError

    def environment(self) -> dict[str, str]:
        """Return the environment of its processes."""
        return dict(os.environ)

    def start(self) -> None:
        """Start the server and return when it listens; blocks for at most START_SECONDS."""
        environment = self.environment()
        for number, command in enumerate(self.commands()):
            with (self.work / f"output-{number}.log").open("wb") as output:
                self._processes.append(
                    subprocess.Popen(
                        command,
                        cwd=self.work,
                        env=environment,
                        stdin=subprocess.DEVNULL,
                        stdout=output,
                        stderr=output,
                    )
                )
        deadline = time.monotonic() + START_SECONDS
        for port in (self.explicit_port, self.implicit_port):
            if port is not None:
                self._wait_until_it_listens(port, deadline)

    def write(self, name: str, text: str) -> Path:
        """Write a file under `work` that only root may read."""
        path = self.work / name
        path.write_text(text)
        path.chmod(0o600)
        return path

    def _wait_until_it_listens(self, port: int, deadline: float) -> None:
        while True:
            with contextlib.suppress(OSError), socket.create_connection((HOST, port), timeout=1):
                return
            for process in self._processes:
                # Waiting on the process is the pause between two tries, and ends at once when it dies.
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(0.02)
                    raise PeerDidNotStart(f"{self.kind} ended with {process.returncode}:\n{self.log()}")
            if time.monotonic() > deadline:
                raise PeerDidNotStart(f"{self.kind} does not listen on port {port}:\n{self.log()}")

    @property
    def pids(self) -> list[int]:
        """The server's process ids, those of its sessions included."""
        children: dict[int, list[int]] = {}
        for pid, fields in _processes():
            children.setdefault(int(fields[1]), []).append(pid)
        tree = [process.pid for process in self._processes]
        for pid in tree:
            tree.extend(children.get(pid, []))
        return tree

    def cpu_seconds(self) -> float:
        """Return the CPU time used so far: all processes, and the ended ones that a parent has waited for."""
        tree = set(self.pids)
        ticks = sum(sum(map(int, fields[11:15])) for pid, fields in _processes() if pid in tree)
        return ticks / os.sysconf("SC_CLK_TCK")

    def log(self, limit: int = 8000) -> str:
        """Return the end of what the server wrote to its logs and its output."""
        parts = []
        for path in sorted(self.work.glob("*.log")):
            with contextlib.suppress(OSError):
                text = path.read_text(errors="replace")
                if text:
                    parts.append(f"--- {path.name}\n{text[-limit:]}")
        return "\n".join(parts)

    def stop(self) -> None:
        """End the server with all its sessions and remove its files; may be called twice."""
        # Sessions first, so that the listener, while it lives, collects them.
        main = {process.pid for process in self._processes}
        for pid in reversed(self.pids):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM if pid in main else signal.SIGKILL)
        deadline = time.monotonic() + STOP_SECONDS
        for process in self._processes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, deadline - time.monotonic()))
            process.kill()
            process.wait()
        self._processes.clear()
        self._reservation.close()
        shutil.rmtree(self._folder, ignore_errors=True)


class PeerServer(ServerProcess):
    """A running server of somebody else: one of `KINDS`."""

    def __init__(self, kind: str, certificates: Certificates, options: PeerOptions) -> None:
        super().__init__(kind, certificates)
        self.options = options
        (self.work / "empty").mkdir(mode=0o755)  # vsftpd's secure_chroot_dir
        if os.geteuid() == 0:
            os.chown(self.root, *_owner())
        if kind not in EXPLICIT:
            self.explicit_port = None
        if kind not in IMPLICIT:
            self.implicit_port = None
        self._values = self._settings(self.first_port, certificates)

    def environment(self) -> dict[str, str]:
        bounded = {"OPENSSL_CONF": str(self._configuration("openssl.cnf"))}
        return super().environment() | (bounded if self.kind in {"vsftpd", "pure-ftpd"} else {})

    def _settings(self, base: int, certificates: Certificates) -> dict[str, str]:
        options = self.options
        versions = ["1.2", "1.3"]
        wanted = [v for v in versions if options.minimum_version <= v <= options.maximum_version]
        no_reuse = "" if options.require_session_reuse else "NoSessionReuseRequired"
        both = self.work / "server-both.pem"
        both.write_bytes(certificates.key.read_bytes() + certificates.certificate.read_bytes())
        both.chmod(0o600)
        return {
            "host": HOST,
            "explicit_port": str(base),
            "implicit_port": str(base + 1),
            "first_passive_port": str(base + 10),
            "last_passive_port": str(base + 199),
            "root": str(self.root),
            "work": str(self.work),
            "installed": str(CACHE / "root"),
            "certificate": str(certificates.certificate),
            "key": str(certificates.key),
            "both": str(both),
            "minimum_version": options.minimum_version,
            "maximum_version": options.maximum_version,
            "tls_protocols": " ".join(f"TLSv{version}" for version in wanted),
            "tls_required": "on" if options.require_protected_data else "ctrl",
            "data_required": "YES" if options.require_protected_data else "NO",
            "reuse_required": "YES" if options.require_session_reuse else "NO",
            "no_reuse": no_reuse,
            "explicit_options": f"TLSOptions {no_reuse}" if no_reuse else "",
        }

    def commands(self) -> list[list[str]]:
        values, program = self._values, str(CACHE / "root" / _PROGRAMS.get(self.kind, ""))
        match self.kind:
            case "vsftpd":
                config = str(self._configuration("vsftpd.conf"))
                return [
                    [program, config, f"-olisten_port={self.explicit_port}"],
                    [program, config, f"-olisten_port={self.implicit_port}", "-oimplicit_ssl=YES"],
                ]
            case "proftpd":
                self.write(
                    "passwd", "{}:{}:{}:{}::{}:/bin/sh\n".format(USER, PASSWORD_HASH, *_owner(), self.root)
                )
                return [[program, "-n", "-q", "-c", str(self._configuration("proftpd.conf"))]]
            case "pure-ftpd":
                return [[program, *self._pure_ftpd_options()]]
            case _:
                script = str(Path(__file__).with_name("python_peer.py"))
                port = values["explicit_port" if self.kind == "pyftpdlib" else "implicit_port"]
                return [
                    [
                        *(str(PEERS_PYTHON), script, self.kind),
                        *("--host", HOST, "--port", port, "--root", values["root"]),
                        *("--passive", values["first_passive_port"], values["last_passive_port"]),
                        *("--user", USER, "--password", PASSWORD),
                        *("--certificate", values["certificate"], "--key", values["key"]),
                        *("--minimum", values["minimum_version"], "--maximum", values["maximum_version"]),
                        *(["--protected-data"] if self.options.require_protected_data else []),
                    ]
                ]

    def _pure_ftpd_options(self) -> list[str]:
        values = self._values
        line = "{}:{}:{}:{}::{}/./::::::::::::\n".format(USER, PASSWORD_HASH, *_owner(), self.root)
        users = self.write("passwd", line)
        database = self.work / "users.pdb"
        make = [str(CACHE / "root" / "usr/bin/pure-pw"), "mkdb", str(database), "-f", str(users)]
        subprocess.run(make, check=True, capture_output=True, timeout=30)
        return [
            *("-4", "-S", f"{HOST},{self.explicit_port}", "-E", "-H", "-A", "-f", "none"),
            *("-Y", "3" if self.options.require_protected_data else "2", "-2", values["both"]),
            *("-p", f"{values['first_passive_port']}:{values['last_passive_port']}"),
            *("-l", f"puredb:{database}", "-c", "500", "-C", "500", "-L", "1000000:8"),
            *("-g", str(self.work / "pid"), "-u", "1"),
        ]

    def _configuration(self, name: str) -> Path:
        return self.write(name, (CONFIGURATIONS / name).read_text().format(**self._values))


def _owner() -> tuple[int, int]:
    """Return the user and group ids that the servers work under."""
    try:
        entry = pwd.getpwnam(USER)
    except KeyError:
        entry = pwd.getpwnam("nobody")
    return entry.pw_uid, entry.pw_gid


def _processes() -> Iterator[tuple[int, list[str]]]:
    """Yield (pid, the fields of /proc/pid/stat from the state on)."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                yield int(entry.name), (entry / "stat").read_text().rpartition(")")[2].split()


def _reserve_ports() -> tuple[int, socket.socket]:
    """Return the first of 200 ports below the ephemeral range, and what keeps them for this process.

    The servers must be told their ports, so they cannot bind to port 0. A socket that is bound to the third
    port, for as long as the server lives, stands for the whole range: without it, two test workers could
    choose the same range, and one would talk to the other's server.
    """
    for _ in range(100):
        base = 12000 + 200 * secrets.randbelow(100)
        reservation = socket.socket()
        with contextlib.ExitStack() as undo, contextlib.suppress(OSError):
            undo.callback(reservation.close)
            reservation.bind((HOST, base + 2))
            for port in (base, base + 1):
                with socket.socket() as probe:
                    probe.bind((HOST, port))
            undo.pop_all()
            return base, reservation
    raise PeerDidNotStart("no free ports between 12000 and 32000")


def start(kind: str, certificates: Certificates, options: PeerOptions | None = None) -> PeerServer:
    """Start a peer and return it listening; the caller stops it.

    Raises:
        PeerDidNotStart: Three tries, each on other ports, came to nothing.
        ValueError: The peer cannot do what the options ask for.
    """
    chosen = options or PeerOptions()
    if kind not in KINDS:
        raise ValueError(f"no such peer: {kind}; there are {', '.join(KINDS)}")
    if chosen.require_session_reuse and kind not in CAN_REQUIRE_REUSE:
        raise ValueError(f"{kind} cannot require TLS session reuse")
    for attempt in range(3):
        peer = PeerServer(kind, certificates, chosen)
        try:
            peer.start()
        except PeerDidNotStart:
            peer.stop()
            if attempt == 2:
                raise
        except BaseException:
            peer.stop()
            raise
        else:
            return peer
    raise AssertionError("unreachable")
