"""Install other people's FTP servers and clients for the interop tests: `make peers`, `make peers-clean`.

Debian, as root. vsftpd, ProFTPD and Pure-FTPd exclude each other as packages, so they are downloaded and
unpacked into a cache folder (`.cache/peers`, or what LOCKGATE_PEERS names) and only the libraries they need
are installed. The clients are ordinary packages. The servers from PyPI live in a virtual environment of
their own in the cache, apart from the project's. vsftpd asks PAM who may log in: for it a system user and a
PAM service are made that nothing else on the machine uses.

This file must work with the standard library alone. tests/interop/peers.py starts what is installed here.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import pwd
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
CACHE = Path(os.environ.get("LOCKGATE_PEERS") or REPOSITORY / ".cache" / "peers")
STAMP = CACHE / "installed.json"

UNPACKED = ["vsftpd", "proftpd-core", "proftpd-mod-crypto", "pure-ftpd", "pure-ftpd-common"]
PROGRAMS = [
    "usr/sbin/vsftpd",
    "usr/sbin/proftpd",
    "usr/lib/proftpd/mod_tls.so",
    "usr/sbin/pure-ftpd",
    "usr/bin/pure-pw",
]
CLIENTS = ["curl", "lftp", "openssl"]
OPTIONAL_CLIENTS = ["tnftp"]
FROM_PYPI = ["pyftpdlib>=2.0.1", "pyOpenSSL>=24.0", "aioftp>=0.23"]

# vsftpd knows only the machine's users, through PAM: the user and the password are those of
# tests/interop/peers.py. The account has no shell and expired long ago, so that it is good for this one PAM
# service and for nothing else. (pam_exec, which needs no account, hangs: vsftpd reaps its child.)
USER = "lockgate-peer"
PASSWORD_HASH = (
    "$6$rounds=1000$lockgatepeers$TcUHXb9S7nRv.WJlt.X8BlT8xcfJp5B"
    "hz1dNeBR0X4mVpAJr5C5XP5kCGA.qVmkYPrx1EeSfXcAxFo8lpQVBA0"
)
PAM_FILE = Path("/etc/pam.d") / USER
PAM_SERVICE = """\
# Made by Lockgate's `make peers` for its interop tests with vsftpd; `make peers-clean` removes it.
auth     required pam_unix.so
account  required pam_permit.so
session  required pam_permit.so
"""


def main() -> int:
    """Do what the command line asks for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("action", choices=["install", "remove", "status"])
    action = parser.parse_args().action
    if action == "status":
        missing = lacking()
        print("\n".join(missing) or f"all peers are in {CACHE}")
        return 1 if missing else 0
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        print("make peers: needs Debian (or a relative with apt-get) and root", file=sys.stderr)
        return 1
    if action == "remove":
        PAM_FILE.unlink(missing_ok=True)
        run("userdel", USER, check=False)
        shutil.rmtree(CACHE, ignore_errors=True)
        return 0
    return install()


def install() -> int:
    """Install what is lacking; a second run only looks."""
    if not lacking():
        print(f"The peers are installed in {CACHE}")
        return 0
    started = time.monotonic()
    CACHE.mkdir(parents=True, exist_ok=True)
    STAMP.unlink(missing_ok=True)
    unpack_servers()
    apt("install", "--yes", "--no-install-recommends", *CLIENTS, *needed_libraries())
    for name in OPTIONAL_CLIENTS:
        if run("apt-cache", "show", name, check=False).returncode == 0:
            apt("install", "--yes", "--no-install-recommends", name)
    environment = CACHE / "venv"
    run(sys.executable, "-m", "venv", "--clear", str(environment))
    run(
        str(environment / "bin" / "python"),
        "-m",
        "pip",
        "--disable-pip-version-check",
        "install",
        "--quiet",
        *FROM_PYPI,
    )
    make_user()
    STAMP.write_text(json.dumps({"recipe": recipe()}), encoding="utf-8")
    missing = lacking()
    if missing:
        print("make peers: not everything could be installed:", *missing, sep="\n  ", file=sys.stderr)
        return 1
    print(f"The peers are installed in {CACHE} ({time.monotonic() - started:.0f} s)")
    return 0


def lacking() -> list[str]:
    """Say what is not there, not complete or older than this file asks for; an empty list means ready."""
    missing = [f"{name}: not on the PATH" for name in CLIENTS if not shutil.which(name)]
    try:
        if json.loads(STAMP.read_text(encoding="utf-8"))["recipe"] != recipe():
            missing.append("the cache was made by another version of tools/peers.py")
    except (OSError, ValueError, KeyError):
        missing.append(f"{CACHE}: nothing installed yet")
        return missing
    for program in PROGRAMS:
        libraries = run("ldd", str(CACHE / "root" / program), check=False)
        if libraries.returncode != 0 or "not found" in libraries.stdout:
            missing.append(f"{program}: missing, or without its libraries")
    if run(
        str(CACHE / "venv" / "bin" / "python"), "-c", "import aioftp, OpenSSL, pyftpdlib", check=False
    ).returncode:
        missing.append("pyftpdlib, pyOpenSSL, aioftp: the virtual environment does not run")
    try:
        if PAM_FILE.read_text(encoding="utf-8") != PAM_SERVICE:
            missing.append(f"{PAM_FILE}: out of date")
    except OSError:
        missing.append(f"{PAM_FILE}: missing")
    if not user_exists():
        missing.append(f"{USER}: no such user on this machine")
    return missing


def recipe() -> str:
    """Return a digest of what this file installs, so that a changed list is installed anew."""
    return hashlib.sha256(
        repr((UNPACKED, PROGRAMS, CLIENTS, OPTIONAL_CLIENTS, FROM_PYPI, PASSWORD_HASH)).encode()
    ).hexdigest()


def unpack_servers() -> None:
    """Download the servers' packages and unpack them under the cache, without installing any."""
    folder, root = CACHE / "packages", CACHE / "root"
    for old in folder, root:
        shutil.rmtree(old, ignore_errors=True)
        old.mkdir(parents=True)
    apt("download", *UNPACKED, folder=folder)
    for package in sorted(folder.glob("*.deb")):
        run("dpkg-deb", "-x", str(package), str(root))


def needed_libraries() -> list[str]:
    """Return the library packages that the unpacked servers depend on.

    Only libraries: the rest (debconf, inetd, start scripts) belongs to an installation.
    """
    found = set()
    for package in sorted((CACHE / "packages").glob("*.deb")):
        depends = run("dpkg-deb", "-f", str(package), "Depends").stdout
        for alternatives in re.sub(r"^Depends:", "", depends).split(","):
            name = re.split(r"[\s(|:]", alternatives.strip(), maxsplit=1)[0]
            if re.match(r"lib|zlib", name):
                found.add(name)
    return sorted(found)


def make_user() -> None:
    """Make the user and the PAM service that vsftpd needs; the same for every clone on this machine."""
    if not user_exists():
        run(
            "useradd", "--system", "--no-create-home", "--home-dir", "/", "--shell", "/usr/sbin/nologin", USER
        )
    run("usermod", "--password", PASSWORD_HASH, "--expiredate", "1970-01-02", USER)
    PAM_FILE.write_text(PAM_SERVICE, encoding="utf-8")


def user_exists() -> bool:
    """Tell whether the machine knows the test user."""
    try:
        pwd.getpwnam(USER)
    except KeyError:
        return False
    return True


def apt(*arguments: str, folder: Path | None = None) -> None:
    """Run apt-get; fetch the package lists first only if it does not get by with the ones that are here."""
    command = ["apt-get", "-qq", "-o", "APT::Sandbox::User=root", *arguments]
    if run(*command, folder=folder, check=False).returncode != 0:
        run("apt-get", "-qq", "update")
        run(*command, folder=folder)


def run(*command: str, folder: Path | None = None, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run a command without questions and without output unless it fails and that matters."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"}
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError as error:
        done = subprocess.CompletedProcess(command, 127, "", str(error))
    if check and done.returncode != 0:
        print(f"make peers: failed: {' '.join(command)}\n{done.stdout}{done.stderr}", file=sys.stderr)
        raise SystemExit(1)
    return done


if __name__ == "__main__":
    raise SystemExit(main())
