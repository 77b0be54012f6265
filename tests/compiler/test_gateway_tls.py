"""ServerTLSSettings to what a server terminates: where certificates come from, what is said of them."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import pytest
import yaml
from support.certificates import authority, chain_of, issue, secret
from support.gateways import gateway, server
from support.plans import built

from meshproxy.compiler.options import Credentials
from meshproxy.plan.dump import plan_as_json
from meshproxy.plan.server_tls import ClientCertificates, ServerTls

A, B = issue("a.test"), issue("b.test")
CA = authority("clients").cert_pem.bytes()
NOW = 1_790_000_000.0


def pem(leaf: Any, **more: bytes) -> dict[str, bytes]:
    return {"tls.crt": chain_of(leaf), "tls.key": leaf.private_key_pem.bytes(), **more}


def compiled(tls: dict[str, Any], *documents: Any, **options: Any) -> tuple[ServerTls, list[tuple[str, str]]]:
    text = yaml.safe_dump_all([*documents, gateway(server(443, "HTTPS", ["a.test"], tls=tls))])
    snapshot, findings = built(text, **options)
    (found,) = snapshot.servers
    return found, [(each.code, each.message) for each in findings]


def given(**secrets: dict[str, bytes]) -> Credentials:
    return Credentials(secrets={name.replace("_", "-"): values for name, values in secrets.items()})


SIMPLE = {"mode": "SIMPLE", "credentialName": "a"}
MUTUAL = {"mode": "MUTUAL", "credentialName": "a"}


def test_a_credential_is_a_secret_before_it_is_a_directory():
    found, said = compiled(SIMPLE, secret("a", A), credentials=given(a=pem(B)))
    assert [pair.certificate for pair in found.pairs] == [chain_of(A)]
    assert not said
    found, _ = compiled(SIMPLE, credentials=given(a=pem(B)))
    assert [pair.certificate for pair in found.pairs] == [chain_of(B)]


@pytest.mark.parametrize("namespace", ["default", "istio-system"])
def test_secrets_of_our_namespace_and_the_root_s(namespace: str):
    assert compiled(SIMPLE, secret("a", A, namespace=namespace))[0].pairs
    assert not compiled(SIMPLE, secret("a", A, namespace="elsewhere"))[0].pairs


def test_generic_secrets_and_files():
    generic = {"cert": chain_of(A), "key": A.private_key_pem.bytes()}
    assert compiled(SIMPLE, credentials=given(a=generic))[0].pairs
    files = Credentials(files={"/c.pem": chain_of(A), "/k.pem": A.private_key_pem.bytes()})
    by_path = {"mode": "SIMPLE", "serverCertificate": "/c.pem", "privateKey": "/k.pem"}
    assert compiled(by_path, credentials=files)[0].pairs
    several = {"mode": "SIMPLE", "tlsCertificates": [{"serverCertificate": "/c.pem", "privateKey": "/k.pem"}]}
    assert compiled(several, credentials=files)[0].pairs


def test_two_certificates():
    found, _ = compiled({"mode": "SIMPLE", "credentialNames": ["a", "b"]}, secret("a", A), secret("b", B))
    assert [pair.name for pair in found.pairs] == ["a", "b"]


@pytest.mark.parametrize(
    ("mode", "clients"),
    [
        ("SIMPLE", ClientCertificates.NONE),
        ("MUTUAL", ClientCertificates.REQUIRED),
        ("OPTIONAL_MUTUAL", ClientCertificates.OPTIONAL),
    ],
)
def test_what_clients_are_asked_for(mode: str, clients: ClientCertificates):
    found, _ = compiled({"mode": mode, "credentialName": "a"}, secret("a", A, authority("clients")))
    assert found.clients is clients
    assert found.ca == (CA if clients is not ClientCertificates.NONE else b"")


@pytest.mark.parametrize(
    ("more", "credentials"),
    [
        ({}, given(a=pem(A), a_cacert={"cacert": CA})),
        ({"caCertCredentialName": "roots"}, given(a=pem(A), roots={"ca.crt": CA})),
    ],
)
def test_the_ca_may_have_a_credential_of_its_own(more: dict[str, str], credentials: Credentials):
    assert compiled({**MUTUAL, **more}, credentials=credentials)[0].ca == CA


def test_istio_mutual_is_the_workload_s_certificate():
    found, _ = compiled({"mode": "ISTIO_MUTUAL"}, credentials=given(default=pem(A, **{"ca.crt": CA})))
    assert (found.clients, found.ca, len(found.pairs)) == (ClientCertificates.REQUIRED, CA, 1)


@pytest.mark.parametrize(
    ("tls", "credentials", "message"),
    [
        (SIMPLE, given(), "has the name a"),
        (SIMPLE, given(a={"tls.crt": b"x"}), "no certificate with its key"),
        (SIMPLE, given(a={"tls.crt": b"x", "tls.key": b"y"}), "no certificate in it"),
        (MUTUAL, given(a=pem(A)), "finds no ca.crt"),
        ({"mode": "ISTIO_MUTUAL"}, given(), "has the name default"),
        ({"mode": "SIMPLE", "serverCertificate": "/c", "privateKey": "/k"}, given(), "/c cannot be read"),
    ],
)
def test_a_server_without_certificate_is_told_and_has_none(tls: dict[str, str], credentials: Credentials, message: str):
    found, said = compiled(tls, credentials=credentials)
    assert found.pairs == ()
    assert any(code == "MPX0141" and message in text for code, text in said)


def test_files_alone_say_nothing_of_what_is_not_among_them():
    assert compiled(SIMPLE)[1] == []


def test_dates_are_judged_by_the_time_given():
    old = {"a": pem(issue("a.test", expired=True))}
    assert [code for code, _ in compiled(SIMPLE, credentials=Credentials(secrets=old), now=NOW)[1]] == ["MPX0142"]
    assert compiled(SIMPLE, credentials=Credentials(secrets=old))[1] == []
    end = compiled(SIMPLE, credentials=Credentials(secrets=old))[0].pairs[0].not_after
    for now, word in ((end - 86400.0, "expires in"), (1.0, "not valid yet")):
        ((_, text),) = compiled(SIMPLE, credentials=Credentials(secrets=old), now=now)[1]
        assert word in text


def test_versions_and_cipher_suites():
    suites = ["ECDHE-RSA-AES128-GCM-SHA256", "[ECDHE-ECDSA-AES128-GCM-SHA256|AES128-SHA]", "NONSENSE"]
    written = {**SIMPLE, "minProtocolVersion": "TLSV1_3", "maxProtocolVersion": "TLSV1_3", "cipherSuites": suites}
    found, _ = compiled(written, secret("a", A))
    assert (found.minimum, found.maximum) == ("TLSv1.3", "TLSv1.3")
    assert found.cipher_suites == ("ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-GCM-SHA256", "AES128-SHA")
    found, _ = compiled(SIMPLE, secret("a", A))
    assert (found.minimum, found.maximum) == ("TLSv1.2", "TLSv1.3")


def test_pins():
    digest = hashlib.sha256(b"x")
    pins = {
        "verifyCertificateSpki": [base64.b64encode(digest.digest()).decode()],
        "verifyCertificateHash": [digest.hexdigest(), ":".join(f"{byte:02X}" for byte in digest.digest())],
    }
    found, said = compiled({**MUTUAL, **pins}, secret("a", A, authority("clients")))
    assert found.key_hashes == found.certificate_hashes == {digest.digest()}
    assert not said
    _, said = compiled({**MUTUAL, "verifyCertificateHash": ["xyz"]}, secret("a", A, authority("clients")))
    assert [code for code, _ in said] == ["MPX0141"]


def test_insecure_skip_verify_does_not_act():
    written = {**MUTUAL, "insecureSkipVerify": True}
    assert [code for code, _ in compiled(written, secret("a", A, authority("clients")))[1]] == ["MPX0001"]


def test_keys_are_never_shown():
    text = yaml.safe_dump_all([secret("a", A), gateway(server(443, "HTTPS", ["a.test"], tls=SIMPLE))])
    snapshot, _ = built(text)
    assert "PRIVATE" not in repr(snapshot)
    assert "PRIVATE" not in str(plan_as_json(snapshot))
