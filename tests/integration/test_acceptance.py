"""TLS that is up and not acceptable (RFC 4217 §10.1, §10.2): 421 inside TLS, no login, or 522 on data."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from live_server import LiveServer, cheap_hash
from raw_client import RawClient, client_context
from tls_bytes import enter, forgiving, listener, listing_with

Start = Callable[..., LiveServer]

BOB = f'[[account]]\nname = "bob"\npassword_hash = "{cheap_hash("bob")}"\nhome = "bob"\n'
NEWER = 'acceptable_tls_version = "1.3"'
CHACHA = 'acceptable_ciphers = ["TLS_CHACHA20_POLY1305_SHA256", "ECDHE-ECDSA-CHACHA20-POLY1305"]'
AES = 'acceptable_ciphers = ["TLS_AES_256_GCM_SHA384", "ECDHE-ECDSA-AES256-GCM-SHA384"]'


def speaks(server: LiveServer, version: str, *, implicit: bool = False) -> RawClient:
    context = client_context(server.ca_file, version=version)
    port = server.implicit_port if implicit else server.port
    return RawClient(server.host, port, context=context, implicit=implicit)


@pytest.mark.requirement("R4217-10.1-c", "RD97-9-a", "R4217-10.1-a", side="S")
@pytest.mark.parametrize("implicit", [False, True], ids=["explicit", "implicit"])
@pytest.mark.parametrize(
    ("policy", "version", "word"),
    [(NEWER, "1.2", "TLS 1.3"), (CHACHA, "1.2", "cipher"), (CHACHA, "1.3", "cipher")],
)
def test_what_a_listener_does_not_accept_is_421_inside_tls(
    start: Start, policy: str, version: str, word: str, implicit: bool
) -> None:
    server = start(policy=policy)
    with speaks(server, version, implicit=implicit) as client:
        if not implicit:
            client.auth()
            client.send("USER alice")
        told = client.greeting if implicit else client.read()
        assert told.code == 421
        assert word in told
        assert client.at_end()


@pytest.mark.requirement("R4217-10.1-a", side="S")
@pytest.mark.parametrize(("policy", "version"), [(NEWER, "1.3"), (AES, "1.2"), (AES, "1.3")])
def test_what_it_accepts_goes_on(start: Start, policy: str, version: str) -> None:
    with speaks(start(policy=policy), version) as client:
        client.log_in().download("NLST")


@pytest.mark.requirement("R4217-10.1-c", "R2577-7-a", side="S")
def test_a_listener_of_its_own_demands_more(start: Start) -> None:
    server = start(listeners=listener("explicit") + listener("implicit", NEWER))
    with speaks(server, "1.2") as client:
        client.log_in()
    with speaks(server, "1.2", implicit=True) as client:
        assert client.greeting.code == 421


@pytest.mark.requirement("R4217-10.1-a", "R4217-10.1-e", "R2577-7-a", side="S")
@pytest.mark.parametrize(("more", "version"), [(NEWER, "1.2"), (CHACHA, "1.2"), (CHACHA, "1.3")])
def test_what_an_account_does_not_accept_is_answered_like_a_wrong_password(
    start: Start, more: str, version: str
) -> None:
    server = forgiving(start(account=more, more_accounts=BOB))
    with speaks(server, version) as client:
        client.auth()
        for name, password in (("alice", "correct horse"), ("alice", "wrong")):
            client.expect(f"USER {name}", 331)
            assert client.expect(f"PASS {password}", 530) == "530 Login failed."
        enter(client, "bob", "bob")


@pytest.mark.requirement("R4217-10.1-a", side="S")
def test_a_certificate_does_not_suffice_over_tls_that_its_account_does_not_accept(
    start: Start, show: Callable[..., RawClient], tls_version: str
) -> None:
    own = f'certificate_subject = "CN=alice,O=Example"\nclient_certificate = "sufficient"\n{NEWER}'
    client = show(start(account=own, tls='client_ca = "ca.pem"'))
    client.auth()
    client.expect("USER alice", 232 if tls_version == "1.3" else 331)


@pytest.mark.requirement("R4217-10.2-e", "R4217-10.2-g", side="S")
@pytest.mark.parametrize(
    ("policy", "account"),
    [(NEWER, ""), ("", NEWER), (NEWER, 'acceptable_tls_version = "1.2"')],
    ids=["policy", "account", "policy, whatever the account says"],
)
def test_data_over_tls_that_is_not_acceptable_is_522(start: Start, policy: str, account: str) -> None:
    server = start(policy=f'session_reuse = "off"\n{policy}', account=account)
    with speaks(server, "1.3") as client:
        client.log_in()
        own, client.context = client.context, client_context(server.ca_file, version="1.2")
        refusal = listing_with(client, None)
        assert refusal.code == 522
        assert "1.3" in refusal
        client.context = own
        client.download("NLST")
