from __future__ import annotations

import datetime
import ipaddress
import multiprocessing
import socket
import stat
import sys

import pytest
from cryptography import x509

from lockgate.errors import ConfigError
from lockgate.tls import devcert
from lockgate.tls.devcert import CertificateAuthority, ensure_certificate, kept_certificates
from lockgate.tls.pins import fingerprint


def load(files) -> x509.Certificate:
    return x509.load_pem_x509_certificate(files.certificate.read_bytes())


def names(files) -> set[str]:
    found = load(files).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return {str(name.value) for name in found}


def test_the_first_run_makes_a_certificate_for_this_host(tmp_path):
    folder = tmp_path / "data" / "tls"
    files = ensure_certificate(folder, [socket.gethostname()])
    assert names(files) == {"localhost", "127.0.0.1", "::1", socket.gethostname()}
    assert files.fingerprint == fingerprint(load(files).public_bytes(devcert_der()))
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def devcert_der():
    from cryptography.hazmat.primitives.serialization import Encoding

    return Encoding.DER


def test_the_key_is_for_the_owner_alone_and_nothing_else_is_left(tmp_path):
    files = ensure_certificate(tmp_path)
    assert stat.S_IMODE(files.key.stat().st_mode) == 0o600
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {files.certificate.name, files.key.name, ".lockgate.lock"}


def test_the_second_run_finds_the_same_certificate(tmp_path):
    assert ensure_certificate(tmp_path) == ensure_certificate(tmp_path)


def test_other_names_have_a_pair_of_their_own_and_the_first_stays(tmp_path):
    first = ensure_certificate(tmp_path)
    before = first.certificate.read_bytes(), first.key.read_bytes()
    second = ensure_certificate(tmp_path, ["files.example.com", "192.0.2.1", ""])
    assert second.fingerprint != first.fingerprint
    assert {"files.example.com", "192.0.2.1", "localhost"} <= names(second)
    third = ensure_certificate(tmp_path, ["192.0.2.1"])
    assert len({one.certificate for one in (first, second, third)}) == 3
    assert ensure_certificate(tmp_path, ["192.0.2.1", "files.example.com"]) == second
    assert (first.certificate.read_bytes(), first.key.read_bytes()) == before
    assert ensure_certificate(tmp_path) == first


def test_names_that_differ_only_in_what_no_file_name_holds_have_pairs_of_their_own(tmp_path):
    more = ["2001:db8::1", "2001:db8::1:0", f"{'x' * 60}.{'y' * 60}.{'z' * 60}.a", f"{'x' * 60}.{'y' * 60}.b"]
    made = [ensure_certificate(tmp_path, [name]) for name in more]
    assert len({one.certificate for one in made}) == len(more)
    assert [ensure_certificate(tmp_path, [name]) for name in more] == made


def test_the_pairs_that_are_kept_are_found_that_of_this_machine_first(tmp_path):
    assert kept_certificates(tmp_path / "nowhere") == []
    other = ensure_certificate(tmp_path, ["192.0.2.1"])
    own = ensure_certificate(tmp_path)
    assert kept_certificates(tmp_path) == [own.certificate, other.certificate]


@pytest.mark.parametrize(("days", "kept"), [(31, True), (29, False), (-1, False)])
def test_a_certificate_is_renewed_before_its_end(tmp_path, monkeypatch, days, kept):
    monkeypatch.setattr(devcert, "_VALID_DAYS", days)
    first = ensure_certificate(tmp_path)
    monkeypatch.undo()
    second = ensure_certificate(tmp_path)
    assert (second == first) is kept
    now = datetime.datetime.now(datetime.UTC)
    assert load(second).not_valid_after_utc > now + datetime.timedelta(days=30)


def test_a_successor_leaves_a_pair_that_is_still_valid_as_it_is(tmp_path, monkeypatch):
    monkeypatch.setattr(devcert, "_VALID_DAYS", 29)
    first = ensure_certificate(tmp_path)
    before = first.certificate.read_bytes(), first.key.read_bytes()
    monkeypatch.undo()
    second = ensure_certificate(tmp_path)
    assert second.certificate != first.certificate
    assert (first.certificate.read_bytes(), first.key.read_bytes()) == before
    assert ensure_certificate(tmp_path) == second


def test_an_expired_pair_makes_room_for_the_successor_of_its_successor(tmp_path, monkeypatch):
    monkeypatch.setattr(devcert, "_VALID_DAYS", -1)
    first = ensure_certificate(tmp_path)
    monkeypatch.setattr(devcert, "_VALID_DAYS", 29)
    assert ensure_certificate(tmp_path).certificate == first.certificate
    monkeypatch.undo()
    assert ensure_certificate(tmp_path).certificate != first.certificate
    assert len(kept_certificates(tmp_path)) == 2


def test_a_damaged_file_makes_a_new_certificate(tmp_path):
    first = ensure_certificate(tmp_path)
    first.certificate.write_text("rubbish")
    assert ensure_certificate(tmp_path).fingerprint != first.fingerprint


def test_a_key_that_does_not_fit_makes_a_new_certificate(tmp_path):
    first = ensure_certificate(tmp_path)
    other = ensure_certificate(tmp_path / "other")
    first.key.write_bytes(other.key.read_bytes())
    assert ensure_certificate(tmp_path).fingerprint != first.fingerprint


def test_a_certificate_without_names_makes_a_new_one(tmp_path):
    first = ensure_certificate(tmp_path)
    nameless = CertificateAuthority().issue_client("CN=x").write(tmp_path, "nameless")
    nameless.certificate.replace(first.certificate)
    nameless.key.replace(first.key)
    assert {"localhost", "127.0.0.1"} <= names(ensure_certificate(tmp_path))


def test_a_folder_that_is_a_file_is_a_configuration_error(tmp_path):
    taken = tmp_path / "taken"
    taken.write_text("")
    with pytest.raises(ConfigError, match="certificate and key"):
        ensure_certificate(taken)


@pytest.mark.parametrize("name", ["a..b", "x" * 64])
def test_a_name_that_no_host_can_have_is_a_configuration_error(tmp_path, name):
    with pytest.raises(ConfigError, match="host name"):
        ensure_certificate(tmp_path, [name])


def test_a_name_beyond_ascii_is_written_as_dns_has_it(tmp_path):
    assert "xn--bcher-kva.example" in names(ensure_certificate(tmp_path, ["bücher.example"]))


def test_a_failed_write_leaves_nothing_behind(tmp_path):
    (tmp_path / "taken.key").mkdir()
    with pytest.raises(OSError, match="directory"):
        CertificateAuthority().issue_client("CN=x").write(tmp_path, "taken")
    assert [path.name for path in tmp_path.iterdir()] == ["taken.key"]


def test_without_file_locks_a_certificate_is_made_too(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "fcntl", None)
    assert ensure_certificate(tmp_path).certificate.is_file()


def test_several_processes_end_up_with_one_certificate(tmp_path):
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        made = pool.map(ensure_certificate, [tmp_path] * 6, chunksize=1)
    assert len({files.fingerprint for files in made}) == 1
    assert ensure_certificate(tmp_path) == made[0]


def test_issued_certificates_are_what_was_asked_for(tmp_path):
    ca = CertificateAuthority("the CA")
    issued = ca.issue_server(["files.example.com", "::1"])
    certificate = x509.load_pem_x509_certificate(issued.certificate_pem)
    root = x509.load_pem_x509_certificate(ca.certificate_pem)
    certificate.verify_directly_issued_by(root)
    found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert found.get_values_for_type(x509.IPAddress) == [ipaddress.ip_address("::1")]
    assert ca.write(tmp_path).read_bytes() == ca.certificate_pem


def test_the_key_does_not_show_in_the_representation():
    issued = CertificateAuthority().issue_client("CN=x")
    assert repr(issued) == f"IssuedCertificate({fingerprint(issued.der)})"
