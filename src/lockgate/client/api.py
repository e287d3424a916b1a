"""The blocking client: one connection, methods that read like what they do.

Thin on purpose: what an operation does stands in `sessions`, `transfers` and `files`, for both clients.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import TypeVar, Unpack

from lockgate.errors import ConnectionLost, LockgateError
from lockgate.protocol.replies import Reply

from . import files, sessions, transfers, trees
from .blocking import BlockingDriver
from .conversation import Conversation
from .crew import Crew
from .dialing import dial
from .entries import RemoteEntry
from .options import ConnectArguments, Options, Password, make_options
from .peer import Peer
from .progress import ProgressCallback
from .transfers import TransferReport
from .trees import TreeProgressCallback, TreeReport

__all__ = ["Client", "connect"]

_T = TypeVar("_T")
RemotePath = str | os.PathLike[str]
LocalPath = str | os.PathLike[str]


def connect(address: str, **arguments: Unpack[ConnectArguments]) -> Client:
    """Connect, verify the server, protect, and log in; use the result in a `with` statement.

    Blocks up to the time limit for each step.

    Args:
        address: `ftpes://user@host:port` (explicit TLS), `ftps://...` (implicit TLS), `ftp://...` (explicit
            TLS too, unless tls="never"), or a host.
        **arguments: The keyword arguments below, the same as in `lockgate.ConnectArguments`.

    Keyword Arguments:
        user: User name; without one, here and in the URL, "anonymous".
        password: The password, or a function that gives it when the server asks.
        account: For servers that ask for an account (332, ACCT).
        port: The port, where the URL has none.
        tls: "explicit", "implicit" or "never"; the URL's scheme by default.
        trust: A CA file, or a certificate's SHA-256 fingerprint, or a `TrustPolicy`.
        ca: CA certificates, PEM, to be trusted instead of the system's.
        pin: SHA-256 fingerprint of the server's certificate.
        verify: False trusts anybody: encryption without authentication.
        certificate: The client's own certificate chain, PEM.
        key: Its key, PEM, where it does not stand in `certificate`.
        tls_version: "1.2" or "1.3": this version only; both by default.
        timeout: The longest wait for anything, in seconds.
        active: The server connects to us (PORT, EPRT) instead of we to it (EPSV, PASV).
        protect: False asks for data connections in clear (RFC 4217 §9).
        protect_after_login: Send PBSZ and PROT after USER and PASS instead of before (RFC 4217 §10.3).
        secure: False sends no AUTH yet: call `auth` yourself, then `login` (RFC 4217 §10.3).
        login: False does not log in yet: call `login` yourself.
        offer_session: False offers no TLS session on data connections.
        before_auth: Commands to send in clear before AUTH (RFC 4217 §10.3).
        ccc: Back to a control connection in clear after the login (RFC 4217 §5); data stays protected.
        require_close_notify: False takes a data connection's end without close_notify for the end of the
            file, where the size shows that it is (servers that never send one).
        random: Where names of temporary files come from.

    Raises:
        ProtectionRefused: The server does not give the protection asked for; nothing went out in clear.
        CertificateRejected: The server's certificate is not acceptable.
        NotLoggedIn: Wrong user or password.
        ConnectionLost, TransferTimeout: The server is not there.
        LocalProtocolError, ConfigError: The address or an argument cannot be used.
    """
    return Client(make_options(address, **arguments)).connect()


class Client:
    """One connection to a server. Thread-safe: operations of several threads wait for each other.

    Every method blocks, up to the time limit for each step, and raises a `LockgateError` when it fails:
    `ReplyError` where the server refused, `TransferError` and `TlsError` where a connection failed.

    Args:
        options: From `make_options`; `lockgate.connect` does that.
    """

    def __init__(self, options: Options) -> None:
        self._options = options
        self._lock = threading.Lock()
        self._driver: BlockingDriver | None = None
        self._peer: Peer | None = None

    def __repr__(self) -> str:
        state = "connected" if self.is_usable else "closed"
        return f"<lockgate.Client {self._options.user}@{self._options.address} {state}>"

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None or issubclass(kind, Exception):
            self.quit()
        else:
            self.close()

    # --- the session ---

    @property
    def options(self) -> Options:
        """What the connection was asked to be."""
        return self._options

    @property
    def is_usable(self) -> bool:
        """False before `connect`, after `close`, and when the connection was lost or given up."""
        return self._driver is not None and self._driver.is_usable

    def connect(self) -> Client:
        """Connect, again if the connection was closed or lost; return the client itself."""
        with self._lock:
            if self.is_usable:
                return self
            driver = BlockingDriver(dial(self._options))
            self._driver, self._peer = driver, Peer(self._options, driver.line.channel.protocol)
            try:
                driver.run(sessions.establish(self._peer))
            except BaseException:
                driver.close()
                raise
        return self

    def quit(self) -> None:
        """Say QUIT and close; never raises for what the server does."""
        with self._lock:
            if self._driver is None:
                return
            try:
                if self._driver.is_usable:
                    self._driver.run(sessions.quit_session(self._known_peer()))
            except LockgateError:
                pass
            finally:
                self._driver.close()

    def close(self) -> None:
        """Close at once, without QUIT. To end what another thread is doing, call `abort` first."""
        with self._lock:
            if self._driver is not None:
                self._driver.close()

    def abort(self) -> None:
        """Make what another thread does on this connection fail at once; the connection is lost with it."""
        driver = self._driver
        if driver is not None:
            driver.abort()

    def auth(self) -> None:
        """AUTH TLS and the handshake, where connect() was told secure=False or after `rein`."""
        self._run(sessions.secure)

    def login(
        self, user: str | None = None, password: Password | None = None, *, account: str | None = None
    ) -> None:
        """USER, PASS, ACCT; by default what connect() was given. Refused in clear when TLS was asked for."""
        options = self._options
        secret = options.password if password is None else password
        name = options.user if user is None else user
        self._run(lambda peer: sessions.login(peer, name, secret, account=account or options.account))

    def protect(self, *, private: bool = True) -> None:
        """PBSZ 0 and PROT P for the transfers to come, or PROT C with private=False (RFC 4217 §9)."""
        self._run(lambda peer: sessions.protect(peer, private=private))

    def ccc(self) -> None:
        """Go back to a control connection in clear (RFC 4217 §5); data connections keep their level."""
        self._run(sessions.ccc)

    def rein(self) -> None:
        """Start the session anew (RFC 4217 §13): `auth`, `login` and `protect` come again."""
        self._run(sessions.rein)

    @property
    def is_protected(self) -> bool:
        """True while the control connection is in TLS."""
        return self._peer is not None and self._peer.state.is_protected

    @property
    def tls_version(self) -> str | None:
        """The control connection's TLS version, such as "TLSv1.3"; None in clear."""
        return None if self._driver is None else self._driver.line.channel.version

    @property
    def features(self) -> dict[str, str]:
        """What FEAT listed: parameters by upper-case name."""
        return dict((self._peer.features if self._peer else None) or {})

    def noop(self) -> None:
        """NOOP: keep the connection awake, and see whether it is."""
        self._run(files.noop)

    def quote(self, command: str) -> Reply:
        """Send a command as it stands and return its final reply, a refusal too."""
        return self._run(lambda peer: files.quote(peer, command))

    # --- directories and names ---

    def pwd(self) -> str:
        """Return the working directory."""
        return self._run(files.working_directory)

    def cwd(self, path: RemotePath) -> None:
        """Change the working directory."""
        self._run(lambda peer: files.change_directory(peer, os.fspath(path)))

    def list(self, path: RemotePath = "") -> list[RemoteEntry]:
        """Return the entries of a directory, in the server's order."""
        return self._run(lambda peer: transfers.list_directory(peer, os.fspath(path)))

    def scandir(self, path: RemotePath = "") -> Iterator[RemoteEntry]:
        """Iterate over the entries of a directory."""
        return iter(self.list(path))

    def stat(self, path: RemotePath) -> RemoteEntry:
        """Say what a path is."""
        return self._run(lambda peer: files.stat(peer, os.fspath(path)))

    def exists(self, path: RemotePath) -> bool:
        """Tell whether there is something at a path."""
        return self._run(lambda peer: files.exists(peer, os.fspath(path)))

    def size(self, path: RemotePath) -> int:
        """Return a file's length in bytes."""
        return self._run(lambda peer: files.size(peer, os.fspath(path)))

    def modified(self, path: RemotePath) -> float:
        """Return the time of a file's last change, seconds since 1970 UTC."""
        return self._run(lambda peer: files.modified(peer, os.fspath(path)))

    def set_modified(self, path: RemotePath, timestamp: float) -> None:
        """Set the time of a file's last change (MFMT), in whole seconds."""
        self._run(lambda peer: files.set_modified(peer, os.fspath(path), timestamp))

    def mkdir(self, path: RemotePath, *, exist_ok: bool = False) -> None:
        """Make a directory."""
        make = files.ensure_directory if exist_ok else files.make_directory
        self._run(lambda peer: make(peer, os.fspath(path)))

    def rmdir(self, path: RemotePath) -> None:
        """Remove an empty directory."""
        self._run(lambda peer: files.remove_directory(peer, os.fspath(path)))

    def remove(self, path: RemotePath) -> None:
        """Remove a file."""
        self._run(lambda peer: files.remove(peer, os.fspath(path)))

    def rename(self, source: RemotePath, target: RemotePath) -> None:
        """Rename or move a file or directory."""
        self._run(lambda peer: files.rename(peer, os.fspath(source), os.fspath(target)))

    # --- contents ---

    def download(
        self,
        remote: RemotePath,
        local: LocalPath,
        *,
        progress: ProgressCallback | None = None,
        resume: bool = False,
        expected_size: int | None = None,
        modified: float | None = None,
    ) -> TransferReport:
        """Download a file; the local one is replaced in one step, at a verified end, or not at all.

        Args:
            remote: The remote path.
            local: The local file. Where it is a link to a file, that file is replaced and the link stays. A
                character device, a pipe or `/dev/stdout` is written to as the bytes come, without `resume`.
            progress: Called with a `Progress` a few times a second; `print` will do.
            resume: Keep what came if the transfer is cut, and go on there at the next call.
            expected_size: The size a listing has told, which saves asking for it.
            modified: The time to give the local file, seconds since 1970 UTC.
        """
        return self._run(
            lambda peer: transfers.download(
                peer,
                os.fspath(remote),
                Path(local),
                progress=progress,
                resume=resume,
                expected_size=expected_size,
                modified=modified,
            )
        )

    def upload(
        self,
        local: LocalPath,
        remote: RemotePath,
        *,
        progress: ProgressCallback | None = None,
        resume: bool = False,
    ) -> TransferReport:
        """Upload a file; returns when the server has confirmed all of it.

        Args:
            local: The local file.
            remote: The remote path.
            progress: Called with a `Progress` a few times a second.
            resume: Go on behind what the server has of an interrupted upload of the same file, by its SIZE.
                Nothing shows whether it is the same file: say it only if you know.
        """
        return self._run(
            lambda peer: transfers.upload(
                peer, Path(local), os.fspath(remote), progress=progress, resume=resume
            )
        )

    def download_tree(
        self,
        remote: RemotePath,
        local: LocalPath,
        *,
        parallel: int = 1,
        progress: TreeProgressCallback | None = None,
    ) -> TreeReport:
        """Make a local folder the copy of a remote directory, with `parallel` sessions.

        Raises:
            TreeIncomplete: Some files failed; the others are done, and its `report` tells which.
        """
        crew = Crew(lambda: Client(self._options), first=self, parallel=parallel)
        return trees.download_tree(crew, os.fspath(remote), Path(local), progress=progress)

    def upload_tree(
        self,
        local: LocalPath,
        remote: RemotePath,
        *,
        parallel: int = 1,
        progress: TreeProgressCallback | None = None,
    ) -> TreeReport:
        """Make a remote directory the copy of a local folder, with `parallel` sessions.

        Raises:
            TreeIncomplete: Some files failed; the others are done, and its `report` tells which.
        """
        crew = Crew(lambda: Client(self._options), first=self, parallel=parallel)
        return trees.upload_tree(crew, Path(local), os.fspath(remote), progress=progress)

    # --- running conversations ---

    def _known_peer(self) -> Peer:
        assert self._peer is not None
        return self._peer

    def _run(self, operation: Callable[[Peer], Conversation[_T]]) -> _T:
        with self._lock:
            if self._driver is None or self._peer is None:
                raise ConnectionLost("not connected: call connect() first")
            return self._driver.run(operation(self._peer))
