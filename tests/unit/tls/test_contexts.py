from __future__ import annotations

import gc
import shutil
import ssl
import weakref
from dataclasses import replace
from pathlib import Path

import pytest
from revocation import holder, revocation_list

from lockgate.errors import CertificateRejected, ConfigError, HandshakeFailed, LocalProtocolError
from lockgate.tls.contexts import ServerContexts, client_context, set_tickets
from lockgate.tls.devcert import CertificateAuthority, ensure_certificate
from lockgate.tls.engine import TlsEngine
from lockgate.tls.policy import (
    ClientCertificate,
    NamedCertificate,
    TlsPolicy,
    TrustPolicy,
    UnknownNames,
)

WIRE = {"1.2": "TLSv1.2", "1.3": "TLSv1.3"}
NAMES = pytest.mark.parametrize("name", ["localhost", None], ids=["sni", "no-sni"])
CLIENT_CERTIFICATES = pytest.mark.parametrize(
    "asks", [ClientCertificate.OFF, ClientCertificate.OPTIONAL, ClientCertificate.REQUIRED]
)


def certificate_der(path: Path) -> bytes:
    return ssl.PEM_cert_to_DER_cert(path.read_text())


# --- a bare context serves, binds and keeps what the client has shown ---


@NAMES
@CLIENT_CERTIFICATES
@pytest.mark.requirement("RTLS-a", "RTLS-j")
def test_a_control_context_serves_a_full_handshake(pki, version, asks, name, join):
    contexts = ServerContexts(pki.policy(version, asks))
    pair = join(contexts.for_control().context, client_context(pki.trust(pki.client)), name=name)
    assert pair.is_up
    assert not pair.server.session_reused
    assert pair.client.peer_certificate == certificate_der(pki.server.certificate)
    assert pair.server.version == pair.client.version == WIRE[version]
    assert pair.server.alpn == pair.client.alpn == "ftp"
    shown = certificate_der(pki.client.certificate) if asks is not ClientCertificate.OFF else None
    assert pair.server.peer_certificate == shown


@NAMES
@CLIENT_CERTIFICATES
@pytest.mark.requirement("RTLS-i", "R4217-18-a", "R4217-15.1-b", "R4217-15.1-d")
def test_data_on_the_same_context_resumes_with_the_client_certificate(pki, version, asks, name, join):
    bare = ServerContexts(pki.policy(version, asks)).for_control().context
    offering = client_context(pki.trust(pki.client))
    control = join(bare, offering, name=name)
    control.client.read()
    for _ in range(3):
        data = join(bare, offering, name=name, session=control.client.session)
        assert data.is_up
        assert data.server.session_reused
        assert data.client.session_reused
        assert data.server.peer_certificate == control.server.peer_certificate
        assert data.client.peer_certificate == control.client.peer_certificate


@NAMES
@CLIENT_CERTIFICATES
@pytest.mark.requirement("RTLS-i")
def test_another_connections_session_opens_nothing_but_a_full_handshake_works(pki, version, asks, name, join):
    contexts = ServerContexts(pki.policy(version, asks))
    offering = client_context(pki.trust(pki.client))
    control = join(contexts.for_control().context, offering, name=name)
    control.client.read()
    data = join(contexts.for_control().context, offering, name=name, session=control.client.session)
    assert data.is_up
    assert not data.server.session_reused
    assert not data.client.session_reused


@pytest.mark.requirement("RTLS-i")
def test_a_session_made_under_the_shared_context_opens_nothing(pki, version, join):
    contexts = ServerContexts(pki.policy(version))
    offering = client_context(pki.trust())
    stranger = join(contexts.shared, offering)
    stranger.client.read()
    data = join(contexts.for_control().context, offering, session=stranger.client.session)
    assert data.is_up
    assert not data.server.session_reused


def test_no_tickets_on_data_leave_resumption_working(pki, version, join):
    bare = ServerContexts(pki.policy(version)).for_control().context
    offering = client_context(pki.trust())
    control = join(bare, offering)
    control.client.read()
    set_tickets(bare, 0)
    for _ in range(3):
        assert join(bare, offering, session=control.client.session).server.session_reused


def test_the_ticket_count_holds_from_the_next_handshake_on(pki, join):
    bare = ServerContexts(pki.policy("1.3")).for_control().context
    sizes = []
    for count in (0, 1, 3):
        set_tickets(bare, count)
        server = TlsEngine(bare, server_side=True)
        client = TlsEngine(client_context(pki.trust()), server_side=False, server_hostname="localhost")
        client.do_handshake()
        server.feed(client.data_to_send())
        server.do_handshake()
        client.feed(server.data_to_send())
        client.do_handshake()
        server.feed(client.data_to_send())
        assert server.do_handshake()
        sizes.append(len(server.data_to_send()))
    assert sizes[0] == 0
    assert sizes[2] == 3 * sizes[1] > 0


@pytest.mark.parametrize("count", [-1, 9])
def test_a_senseless_ticket_count_is_refused(pki, count):
    with pytest.raises(LocalProtocolError, match="0 to 8"):
        set_tickets(ServerContexts(pki.policy("1.3")).for_control().context, count)


def test_a_client_has_no_tickets_to_count(pki):
    with pytest.raises(LocalProtocolError, match="client's"):
        set_tickets(client_context(pki.trust()), 1)


# --- verification happens though the bare context has no CA ---


@pytest.mark.parametrize("asks", [ClientCertificate.OPTIONAL, ClientCertificate.REQUIRED])
def test_a_client_certificate_of_an_unknown_ca_is_refused(pki, version, asks, join):
    bare = ServerContexts(pki.policy(version, asks)).for_control().context
    pair = join(bare, client_context(pki.trust(pki.stranger)))
    assert isinstance(pair.errors["server"], CertificateRejected)
    assert "client_ca" in str(pair.errors["server"])
    assert not pair.server.handshake_done
    with pytest.raises(HandshakeFailed, match="does not accept our certificate"):
        pair.client.read()


def test_a_required_client_certificate_that_is_missing_is_refused(pki, version, join):
    bare = ServerContexts(pki.policy(version, ClientCertificate.REQUIRED)).for_control().context
    pair = join(bare, client_context(pki.trust()))
    assert isinstance(pair.errors["server"], CertificateRejected)
    assert "requires one" in str(pair.errors["server"])


@pytest.mark.parametrize("asks", [ClientCertificate.OPTIONAL, ClientCertificate.SUFFICIENT])
def test_an_optional_client_certificate_may_be_missing(pki, version, asks, join):
    pair = join(ServerContexts(pki.policy(version, asks)).for_control().context, client_context(pki.trust()))
    assert pair.is_up
    assert pair.server.peer_certificate is None


def test_a_session_without_certificate_stays_without_one_when_resumed(pki, version, join):
    bare = ServerContexts(pki.policy(version, ClientCertificate.OPTIONAL)).for_control().context
    offering = client_context(pki.trust())
    control = join(bare, offering)
    control.client.read()
    data = join(bare, offering, session=control.client.session)
    assert data.server.session_reused
    assert data.server.peer_certificate is None


def test_an_expired_client_certificate_is_refused(pki, version, join, tmp_path):
    ca = CertificateAuthority()
    expired = ca.issue_client("CN=alice", days=-1).write(tmp_path, "expired")
    policy = replace(pki.policy(version, ClientCertificate.REQUIRED), client_ca=ca.write(tmp_path))
    pair = join(ServerContexts(policy).for_control().context, client_context(pki.trust(expired)))
    assert "expired" in str(pair.errors["server"])


def test_a_server_certificate_does_not_serve_as_a_client_certificate(pki, version, join):
    bare = ServerContexts(pki.policy(version, ClientCertificate.REQUIRED)).for_control().context
    pair = join(bare, client_context(pki.trust(pki.server)))
    assert isinstance(pair.errors["server"], CertificateRejected)


# --- what stands on the bare context ---


@pytest.mark.requirement("RTLS-b", "RTLS-d")
@pytest.mark.parametrize("asks", list(ClientCertificate))
def test_versions_verify_mode_and_options_stand_on_the_bare_context(pki, version, asks):
    bare = ServerContexts(pki.policy(version, asks)).for_control().context
    modes = {ClientCertificate.OFF: ssl.CERT_NONE, ClientCertificate.REQUIRED: ssl.CERT_REQUIRED}
    assert bare.verify_mode is modes.get(asks, ssl.CERT_OPTIONAL)
    assert bare.minimum_version.name == bare.maximum_version.name == WIRE[version].replace(".", "_")
    assert bare.options & ssl.OP_NO_RENEGOTIATION
    assert bare.options & ssl.OP_NO_COMPRESSION
    assert not bare.options & ssl.OP_IGNORE_UNEXPECTED_EOF
    assert not bare.options & ssl.OP_NO_TICKET
    assert bare.get_ca_certs() == []


@pytest.mark.requirement("RTLS-b", "RTLS-c", "R4217-15.1-c")
@pytest.mark.parametrize("ciphers", ["", "ALL:COMPLEMENTOFALL", "ALL:@SECLEVEL=0", "ECDHE+AES:AES128-SHA"])
def test_only_suites_with_forward_secrecy_and_authentication_are_left(pki, ciphers):
    policy = replace(pki.policy("1.2"), ciphers=ciphers)
    contexts = ServerContexts(policy)
    for context in (contexts.shared, contexts.for_control().context):
        for suite in context.get_ciphers():
            assert suite["protocol"] == "TLSv1.3" or suite["kea"] in {"kx-ecdhe", "kx-dhe"}, suite["name"]
            assert suite["auth"] in {"auth-rsa", "auth-ecdsa", "auth-any"}, suite["name"]
            assert suite["symmetric"] is not None, suite["name"]
            assert not {"3DES", "DES", "RC4", "NULL", "MD5"} & set(suite["name"].split("-")), suite["name"]


def test_the_default_suites_are_authenticated_encryption_only(pki):
    suites = ServerContexts(pki.policy("1.2")).for_control().context.get_ciphers()
    assert len(suites) > 3
    assert all(suite["aead"] for suite in suites)


@pytest.mark.parametrize("ciphers", ["AES128-SHA", "RC4", "no-such-suite"])
def test_ciphers_that_leave_nothing_are_a_configuration_error(pki, ciphers):
    with pytest.raises(ConfigError, match=r"ciphers: .*leave it empty"):
        ServerContexts(replace(pki.policy("1.2"), ciphers=ciphers))


def test_the_policys_ciphers_are_used(pki, join):
    policy = replace(pki.policy("1.2"), ciphers="ECDHE-ECDSA-CHACHA20-POLY1305")
    pair = join(ServerContexts(policy).for_control().context, client_context(pki.trust()))
    assert pair.server.cipher == pair.client.cipher == "ECDHE-ECDSA-CHACHA20-POLY1305"


def test_a_control_context_is_freed_without_the_garbage_collector(pki, join):
    gc.disable()
    try:
        bare = ServerContexts(pki.policy("1.3")).for_control().context
        gone = weakref.ref(bare)
        assert join(bare, client_context(pki.trust())).is_up
        del bare
        assert gone() is None
    finally:
        gc.enable()


# --- reload ---


def test_a_reload_serves_the_new_certificate_and_keeps_the_old_on_running_sessions(
    pki, version, join, tmp_path
):
    ca = CertificateAuthority()
    ca_file = ca.write(tmp_path)
    files = ca.issue_server().write(tmp_path, "server")
    contexts = ServerContexts(
        TlsPolicy(certificate=files.certificate, key=files.key, maximum_version=version)
    )
    running = contexts.for_control().context
    before = certificate_der(files.certificate)
    ca.issue_server().write(tmp_path, "server")
    contexts.reload()
    trust = client_context(TrustPolicy(ca_file=ca_file))
    assert join(running, trust).client.peer_certificate == before
    after = join(contexts.for_control().context, trust).client.peer_certificate
    assert after == certificate_der(files.certificate) != before


def test_a_failed_reload_changes_nothing(pki, tmp_path, join):
    for path in (pki.server.certificate, pki.server.key):
        shutil.copy(path, tmp_path)
    certificate, key = tmp_path / pki.server.certificate.name, tmp_path / pki.server.key.name
    contexts = ServerContexts(TlsPolicy(certificate=certificate, key=key))
    certificate.write_text("rubbish")
    with pytest.raises(ConfigError):
        contexts.reload()
    assert join(contexts.for_control().context, client_context(pki.trust())).is_up


def test_a_reload_can_bring_a_new_policy(pki, join):
    contexts = ServerContexts(pki.policy("1.2"))
    contexts.reload(pki.policy("1.3"))
    assert contexts.policy.minimum_version == "1.3"
    assert join(contexts.for_control().context, client_context(pki.trust())).server.version == "TLSv1.3"


# --- files that cannot be used ---


def test_a_server_without_certificate_has_no_contexts():
    with pytest.raises(ConfigError, match=r"set certificate .* in \[tls\]"):
        ServerContexts(TlsPolicy())


def test_missing_files_are_named(pki, tmp_path):
    missing = tmp_path / "missing.pem"
    with pytest.raises(ConfigError, match=r"certificate: .*missing\.pem cannot be read: No such file"):
        ServerContexts(replace(pki.policy("1.2"), certificate=missing))
    with pytest.raises(ConfigError, match=r"key: .*missing\.pem cannot be read: No such file"):
        ServerContexts(replace(pki.policy("1.2"), key=missing))
    with pytest.raises(ConfigError, match=r"client_ca: .*missing\.pem cannot be read: No such file"):
        ServerContexts(replace(pki.policy("1.2"), client_ca=missing))
    with pytest.raises(ConfigError, match=r"CA file: .*missing\.pem cannot be read: No such file"):
        client_context(TrustPolicy(ca_file=missing))


def test_a_key_that_does_not_belong_to_the_certificate_is_named(pki):
    with pytest.raises(ConfigError, match="does not belong"):
        ServerContexts(replace(pki.policy("1.2"), key=pki.client.key))


def test_a_file_that_is_no_certificate_is_named(pki, tmp_path):
    rubbish = tmp_path / "rubbish.pem"
    rubbish.write_text("rubbish")
    with pytest.raises(ConfigError, match=r"rubbish\.pem .*PEM"):
        ServerContexts(replace(pki.policy("1.2"), certificate=rubbish))
    with pytest.raises(ConfigError, match=r"client_ca: .*rubbish\.pem holds no CA"):
        ServerContexts(replace(pki.policy("1.2"), client_ca=rubbish))


def test_a_key_with_a_passphrase_is_an_error_and_asks_nobody(pki, tmp_path):
    from cryptography.hazmat.primitives import serialization as forms

    key = forms.load_pem_private_key(pki.server.key.read_bytes(), None)
    locked = tmp_path / "locked.key"
    sealed = forms.BestAvailableEncryption(b"secret")
    locked.write_bytes(key.private_bytes(forms.Encoding.PEM, forms.PrivateFormat.PKCS8, sealed))
    with pytest.raises(ConfigError, match=r"locked\.key has a passphrase"):
        ServerContexts(replace(pki.policy("1.2"), key=locked))


def test_key_and_certificate_may_stand_in_one_file(pki, tmp_path, join):
    both = tmp_path / "both.pem"
    both.write_bytes(pki.server.certificate.read_bytes() + pki.server.key.read_bytes())
    assert join(
        ServerContexts(TlsPolicy(certificate=both)).for_control().context, client_context(pki.trust())
    ).is_up


# --- the client's context ---


@pytest.mark.requirement("R4217-15.1-e", "RTLS-n")
def test_a_client_refuses_a_certificate_for_another_name(pki, version, join):
    bare = ServerContexts(pki.policy(version)).for_control().context
    pair = join(bare, client_context(pki.trust()), name="files.example.com")
    assert isinstance(pair.errors["client"], CertificateRejected)
    assert "files.example.com" in str(pair.errors["client"])
    assert "--pin" in str(pair.errors["client"])


@pytest.mark.requirement("R4217-15.1-e", "RTLS-n", "R003-4-a")
def test_a_client_refuses_a_certificate_of_an_unknown_ca(pki, version, join):
    bare = ServerContexts(pki.policy(version)).for_control().context
    for trust in (TrustPolicy(ca_file=pki.other_ca), TrustPolicy()):
        pair = join(bare, client_context(trust))
        assert isinstance(pair.errors["client"], CertificateRejected)
        assert "--ca FILE" in str(pair.errors["client"])


@pytest.mark.requirement("R4217-15.1-e")
def test_a_client_refuses_an_expired_certificate(version, join, tmp_path):
    ca = CertificateAuthority()
    files = ca.issue_server(days=-1).write(tmp_path, "server")
    policy = TlsPolicy(certificate=files.certificate, key=files.key, maximum_version=version)
    trust = TrustPolicy(ca_file=ca.write(tmp_path))
    pair = join(ServerContexts(policy).for_control().context, client_context(trust))
    assert "expired" in str(pair.errors["client"])


def test_a_client_can_trust_one_certificate_by_its_file(pki, version, join, tmp_path):
    self_signed = ensure_certificate(tmp_path)
    issued = pki.server
    for files in (self_signed, issued):
        policy = TlsPolicy(certificate=files.certificate, key=files.key, maximum_version=version)
        trust = client_context(TrustPolicy(ca_file=files.certificate))
        assert join(ServerContexts(policy).for_control().context, trust).is_up


def test_a_client_checks_ip_addresses_as_names(pki, join):
    bare = ServerContexts(pki.policy("1.3")).for_control().context
    assert join(bare, client_context(pki.trust()), name="127.0.0.1").is_up
    assert "client" in join(bare, client_context(pki.trust()), name="127.0.0.2").errors


@pytest.mark.parametrize("trust", [TrustPolicy(verify=False), TrustPolicy(pin_sha256=bytes(32))])
def test_without_chain_verification_tls_takes_any_certificate(pki, trust, join):
    bare = ServerContexts(pki.policy("1.3")).for_control().context
    assert join(bare, client_context(trust), name="files.example.com").is_up


@pytest.mark.requirement("RTLS-a", "RTLS-b", "R4217-15.1-c")
def test_a_clients_context_is_as_strict_as_a_servers():
    context = client_context(TrustPolicy())
    assert context.check_hostname
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert context.options & ssl.OP_NO_RENEGOTIATION
    assert not context.options & ssl.OP_IGNORE_UNEXPECTED_EOF
    assert not context.hostname_checks_common_name
    assert all(suite["aead"] for suite in context.get_ciphers())


def test_a_clients_versions_are_those_asked_for(pki, version, join):
    trust = replace(pki.trust(), minimum_version=version, maximum_version=version)
    policy = replace(pki.policy(version), minimum_version="1.2", maximum_version=None)
    assert (
        join(ServerContexts(policy).for_control().context, client_context(trust)).server.version
        == WIRE[version]
    )


# --- several certificates ---


def names_of(certificate: Path) -> tuple[str, ...]:
    return {"one": ("one.example",), "wild": ("*.wild.example",), "server": ("localhost",)}[certificate.stem]


@pytest.fixture
def many(pki, version, tmp_path):
    ca = CertificateAuthority()
    issued = {
        stem: ca.issue_server(names).write(tmp_path, stem)
        for stem, names in {"one": ["one.example"], "wild": ["*.wild.example"], "listed": ["x"]}.items()
    }
    certificates = tuple(
        NamedCertificate(files.certificate, files.key, ("listed.example",) if stem == "listed" else ())
        for stem, files in issued.items()
    )
    policy = replace(pki.policy(version), certificates=certificates)
    return ServerContexts(policy, lambda file: () if file.stem == "listed" else names_of(file)), issued


def anybody():
    return client_context(TrustPolicy(verify=False))


@pytest.mark.requirement("RTLS-j")
@pytest.mark.parametrize(
    ("host", "name", "stem"),
    [
        ("", "one.example", "one"),
        ("", "ONE.example", "one"),
        ("", "a.wild.example", "wild"),
        ("", "listed.example", "listed"),
        ("", "wild.example", "server"),
        ("", None, "server"),
        ("one.example", None, "one"),
        ("one.example", "a.wild.example", "one"),
        ("unknown.example", "a.wild.example", "server"),
    ],
)
def test_the_certificate_is_chosen_by_host_or_by_sni(many, pki, join, host, name, stem):
    contexts, issued = many
    control_tls = contexts.for_control(host)
    pair = join(control_tls.context, anybody(), name=name)
    expected = pki.server if stem == "server" else issued[stem]
    assert pair.client.peer_certificate == certificate_der(expected.certificate)
    # Another connection of the same context follows, whatever it names, resumed or not.
    pair.client.read()
    other = "one.example" if stem != "one" else "a.wild.example"
    again = join(control_tls.context, anybody(), name=other)
    assert again.client.peer_certificate == certificate_der(expected.certificate)
    assert not again.server.session_reused


@pytest.mark.requirement("RTLS-i")
@pytest.mark.parametrize("name", ["one.example", "a.wild.example", "unknown.example"])
def test_sessions_resume_under_every_certificate_and_only_on_their_own_connection(many, pki, join, name):
    contexts, _issued = many
    offering = anybody()
    bare = contexts.for_control().context
    control = join(bare, offering, name=name)
    control.client.read()
    for data_name in (name, "localhost"):
        data = join(bare, offering, name=data_name, session=control.client.session)
        assert data.is_up
        # A session is the name's that it began with (RFC 6066 §3): with another one TLS begins anew.
        assert data.server.session_reused or data_name != name
    stranger = join(contexts.for_control().context, offering, name=name, session=control.client.session)
    assert stranger.is_up
    assert not stranger.server.session_reused


def test_what_fits_a_name_is_told_from_the_handshake_on(many, pki, join):
    contexts, _issued = many
    control_tls = contexts.for_control()
    assert control_tls.choice.fits("one.example")
    assert control_tls.choice.fits("a.wild.example")
    join(control_tls.context, anybody(), name="one.example")
    assert control_tls.choice.fits("One.example.")
    assert not control_tls.choice.fits("a.wild.example")
    assert not control_tls.choice.fits("localhost")
    assert not control_tls.choice.fits("unknown.example")


def test_the_names_of_all_certificates_are_known(many):
    contexts, _issued = many
    for name in ("one.example", "b.wild.example", "listed.example", "LOCALHOST"):
        assert contexts.knows(name)
    for name in ("x", "wild.example", "", "a.b.wild.example"):
        assert not contexts.knows(name)


# --- files that change ---


def test_files_are_other_ones_when_they_are_written_replaced_or_gone(pki, tmp_path):
    ca = CertificateAuthority()
    files = ca.issue_server().write(tmp_path, "server")
    link = tmp_path / "link.pem"
    link.symlink_to(files.certificate)
    contexts = ServerContexts(TlsPolicy(link, files.key))
    assert not contexts.files_changed()
    contexts.reload()
    link.rename(tmp_path / "away.pem")
    assert contexts.files_changed()
    link.symlink_to(ca.issue_server().write(tmp_path, "other").certificate)
    assert contexts.files_changed()
    with pytest.raises(ConfigError, match="does not belong"):
        contexts.reload()
    shutil.copy(tmp_path / "other.key", files.key)
    contexts.reload()
    assert not contexts.files_changed()


def test_files_that_change_while_they_are_read_are_not_used(tmp_path):
    ca = CertificateAuthority()
    files = ca.issue_server().write(tmp_path, "server")
    calls = []

    def slow(certificate: Path) -> tuple[str, ...]:
        calls.append(certificate)
        if len(calls) == 2:
            ca.issue_server().write(tmp_path, "server")
        return ()

    contexts = ServerContexts(TlsPolicy(files.certificate, files.key), slow)
    before = contexts.shared
    with pytest.raises(ConfigError, match="changed while they were read"):
        contexts.reload()
    assert contexts.shared is before
    assert contexts.files_changed()


# --- revocation lists ---


@pytest.fixture
def listed(tmp_path):
    authority = holder("clients", ca=True)
    server = CertificateAuthority().issue_server().write(tmp_path, "server")
    (tmp_path / "clients.pem").write_bytes(authority.pem)
    (tmp_path / "crl.pem").write_bytes(revocation_list(authority))
    return TlsPolicy(
        server.certificate,
        server.key,
        client_ca=tmp_path / "clients.pem",
        crl=tmp_path / "crl.pem",
        client_certificate=ClientCertificate.OPTIONAL,
    )


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "no revocation list"),
        (b"rubbish", "no revocation list"),
        (b"-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n", "no revocation list"),
    ],
)
def test_a_file_without_revocation_lists_is_refused(listed, content, words):
    listed.crl.write_bytes(content)
    with pytest.raises(ConfigError, match=words):
        ServerContexts(listed)


def test_certificates_among_revocation_lists_are_refused_for_they_would_be_trusted(listed):
    listed.crl.write_bytes(listed.crl.read_bytes() + holder("stranger", ca=True).pem)
    with pytest.raises(ConfigError, match="holds certificates"):
        ServerContexts(listed)


def test_the_list_twice_is_no_new_list(listed):
    listed.client_ca.write_bytes(listed.client_ca.read_bytes() + listed.crl.read_bytes())
    with pytest.raises(ConfigError, match="no revocation list"):
        ServerContexts(listed)


def test_a_missing_list_is_an_error_with_its_name(listed):
    with pytest.raises(ConfigError, match=r"crl: .*none\.pem cannot be read"):
        ServerContexts(replace(listed, crl=listed.crl.with_name("none.pem")))


def test_the_whole_chain_is_checked_on_the_bare_context(listed):
    assert ServerContexts(listed).for_control().context.verify_flags & ssl.VERIFY_CRL_CHECK_CHAIN
    without = ServerContexts(replace(listed, crl=None)).for_control().context
    assert not without.verify_flags & ssl.VERIFY_CRL_CHECK_LEAF


def test_lists_without_a_ca_are_a_contradiction(tmp_path):
    with pytest.raises(ConfigError, match="client_ca is not"):
        TlsPolicy(tmp_path / "server.pem", crl=tmp_path / "crl.pem")


@pytest.mark.parametrize(
    ("name", "is_served"),
    [("localhost", True), ("LOCALHOST", True), ("www.example.com", False), (None, True)],
)
def test_a_name_that_no_certificate_has_is_refused_where_the_policy_says_so(
    pki, version, join, name, is_served
):
    policy = replace(pki.policy(version), unknown_names=UnknownNames.REFUSE)
    bare = ServerContexts(policy, lambda _: ("localhost",)).for_control().context
    offering = client_context(TrustPolicy(verify=False, minimum_version=version, maximum_version=version))
    pair = join(bare, offering, name=name)
    assert pair.is_up is is_served
    if not is_served:
        assert "unknown_names" in str(pair.errors["server"])
        assert "unrecognized" in str(pair.errors["client"])
