from __future__ import annotations

import os
from pathlib import Path

import pytest

from lockgate.errors import ConfigError
from lockgate.tls.contexts import ServerContexts
from lockgate.tls.devcert import CertificateAuthority
from lockgate.tls.keyfiles import key_problem, key_remark
from lockgate.tls.policy import TlsPolicy

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")


@pytest.fixture
def key(tmp_path: Path) -> Path:
    return CertificateAuthority().issue_server().write(tmp_path, "server").key


@pytest.mark.parametrize(
    ("mode", "words"),
    [
        (0o600, ""),
        (0o400, ""),
        (0o700, ""),
        (0o601, ""),
        (0o644, "every user"),
        (0o604, "every user"),
        (0o602, "every user"),
        (0o666, "every user"),
        (0o660, "group can change"),
        (0o620, "group can change"),
    ],
)
def test_a_key_that_others_can_get_at_is_a_problem(key: Path, mode: int, words: str) -> None:
    key.chmod(mode)
    told = key_problem(key)
    assert (words in told) if words else told == ""
    assert ("chmod 600" in told) == bool(words)
    assert key_remark(key) == ""


@AS_ROOT
def test_a_group_may_read_a_key_that_root_owns_and_no_other(key: Path) -> None:
    key.chmod(0o640)
    assert key_problem(key) == ""
    assert "mode 0640" in key_remark(key)
    os.chown(key, 1000, 1000)
    assert "for files that root owns" in key_problem(key)
    assert key_remark(key) == ""


def test_a_link_is_judged_by_what_it_leads_to(key: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.key"
    link.symlink_to(key)
    assert key_problem(link) == ""
    key.chmod(0o644)
    assert "every user" in key_problem(link)


def test_a_key_that_is_not_there_is_somebody_elses_problem(tmp_path: Path) -> None:
    assert key_problem(tmp_path / "none") == key_remark(tmp_path / "none") == ""


def test_other_systems_have_no_such_modes(key: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key.chmod(0o644)
    monkeypatch.setattr("lockgate.tls.keyfiles.os.name", "nt")
    assert key_problem(key) == ""


def test_contexts_refuse_such_a_key_when_they_are_told_to(key: Path) -> None:
    key.chmod(0o644)
    certificate = key.with_suffix(".pem")
    ServerContexts(TlsPolicy(certificate, key))
    with pytest.raises(ConfigError, match="mode 0644"):
        ServerContexts(TlsPolicy(certificate, key, check_key_permissions=True))


def test_a_key_in_the_certificates_file_is_judged_there(key: Path, tmp_path: Path) -> None:
    both = tmp_path / "both.pem"
    both.write_bytes(key.with_suffix(".pem").read_bytes() + key.read_bytes())
    both.chmod(0o644)
    with pytest.raises(ConfigError, match=r"both\.pem has mode 0644"):
        ServerContexts(TlsPolicy(both, check_key_permissions=True))
