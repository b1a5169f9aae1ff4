"""`GET /token`, and the tokens that come out of it."""

import base64
import stat

import httpx
import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from api.registry.access import Access, Grant, Scope, read_scopes
from api.registry.signing_key import load_or_create_key
from api.registry.tokens import TokenSigner

PULL, PUSH, ALL = frozenset({"pull"}), frozenset({"pull", "push"}), frozenset({"pull", "push", "delete"})
DIGEST = "sha256:" + "a" * 64


@pytest.fixture
def credentials(registry):
    registry.credentials.asked.clear()
    registry.credentials.grants = {
        "ticket": Grant("ticket-1", (Access("acme/web", PULL, frozenset({DIGEST})),)),
        "builder": Grant("build-1", (Access("acme/web", PUSH), Access("acme/api", PUSH))),
    }
    return registry.credentials


def _token(registry, user: str, *scopes: str, **query: str) -> httpx.Response:
    return httpx.get(f"{registry.url}/token", auth=(user, "secret"), params={"scope": list(scopes), **query})


def _claims(response: httpx.Response) -> dict[str, object]:
    return jwt.decode(response.json()["token"], options={"verify_signature": False})


def test_a_credential_becomes_a_token_for_the_registry(registry, credentials) -> None:
    answer = _token(registry, "builder", "repository:acme/web:pull,push", service="registry.test")
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    body = answer.json()
    assert (body["token"], body["expires_in"], body["issued_at"][-1]) == (body["access_token"], 300, "Z")
    claims = _claims(answer)
    assert (claims["iss"], claims["sub"], claims["aud"]) == ("ims.test", "build-1", "registry.test")
    assert claims["exp"] - claims["iat"] == 300
    assert claims["access"] == [{"type": "repository", "name": "acme/web", "actions": ["pull", "push"]}]
    assert registry.signer.verify(body["token"], service="registry.test") == Grant("build-1", (Access("acme/web", PUSH),))


def test_a_token_never_holds_more_than_was_asked_for_or_is_granted(registry, credentials) -> None:
    assert _claims(_token(registry, "builder", "repository:acme/web:pull"))["access"] == [
        {"type": "repository", "name": "acme/web", "actions": ["pull"]}
    ]
    assert _claims(_token(registry, "builder", "repository:acme/other:pull"))["access"] == []
    assert _claims(_token(registry, "builder", "repository:acme/web:*"))["access"] == [
        {"type": "repository", "name": "acme/web", "actions": ["pull", "push"]}
    ]


@pytest.mark.parametrize(
    "scopes",
    [("repository:acme/web:pull", "repository:acme/api:push"), ("repository:acme/web:pull repository:acme/api:push",)],
)
def test_several_scopes_come_in_one_parameter_or_several(registry, credentials, scopes) -> None:
    claims = _claims(_token(registry, "builder", *scopes))
    assert [entry["name"] for entry in claims["access"]] == ["acme/web", "acme/api"]


def test_digests_travel_in_a_claim_of_our_own(registry, credentials) -> None:
    answer = _token(registry, "ticket", "repository:acme/web:pull")
    assert _claims(answer)["exclave_digests"] == {"acme/web": [DIGEST]}
    (access,) = registry.signer.verify(answer.json()["token"], service="registry.test").access
    assert access.digests == frozenset({DIGEST})


def test_a_login_ping_asks_for_no_scope_and_gets_a_token_for_v2_only(registry, credentials) -> None:
    answer = _token(registry, "ticket")
    assert credentials.asked == [("ticket", "secret", ())]
    headers = {"Authorization": f"Bearer {answer.json()['token']}"}
    assert httpx.get(f"{registry.url}/v2/", headers=headers).status_code == 200
    assert httpx.get(f"{registry.url}/v2/acme/web/tags/list", headers=headers).status_code == 401


def test_a_refused_credential_says_why_and_is_logged_without_its_password(registry, credentials, caplog) -> None:
    refused = httpx.get(f"{registry.url}/token", auth=("used", "hush-hush"), params={"scope": "repository:acme/web:pull"})
    assert refused.status_code == 401
    assert refused.headers["www-authenticate"].startswith("Basic ")
    assert refused.json()["errors"] == [{"code": "UNAUTHORIZED", "message": "the ticket was used already"}]
    (record,) = caplog.records
    assert record.refusal["subject"] == "used"
    assert "hush-hush" not in str(vars(record))


@pytest.mark.parametrize("header", [None, "Basic", "Basic !!!", "Basic /w==", "Basic eA==", "Bearer abc"])
def test_without_a_readable_credential_nobody_is_asked(registry, credentials, header) -> None:
    headers = {"Authorization": header} if header else {}
    assert httpx.get(f"{registry.url}/token", headers=headers).status_code == 401
    assert credentials.asked == []


def test_a_password_may_have_colons_and_any_letters(registry, credentials) -> None:
    encoded = base64.b64encode("builder:pä:ss".encode()).decode()
    assert httpx.get(f"{registry.url}/token", headers={"Authorization": f"basic {encoded}"}).status_code == 200
    assert credentials.asked[0][:2] == ("builder", "pä:ss")


@pytest.mark.parametrize("method", ["HEAD", "POST", "PUT", "DELETE"])
def test_other_methods_than_get_use_up_no_credential(registry, credentials, method) -> None:
    answer = httpx.request(method, f"{registry.url}/token", auth=("ticket", "secret"), params={"scope": "repository:a:pull"})
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET")
    assert credentials.asked == []


def test_another_service_uses_up_no_credential(registry, credentials) -> None:
    assert _token(registry, "ticket", "repository:acme/web:pull", service="other").status_code == 400
    assert credentials.asked == []


@pytest.mark.parametrize(
    ("texts", "scopes"),
    [
        ((), ()),
        (("repository:acme/web:pull",), (Scope("acme/web", PULL),)),
        (("repository:acme/web:*",), (Scope("acme/web", ALL),)),
        (("repository:acme/web:pull repository:acme/web:push",), (Scope("acme/web", PUSH),)),
        (("repository:acme/web:fly",), (Scope("acme/web", frozenset()),)),
        (("registry:catalog:*", "repository:../x:pull", "repository:web", "pull", "::"), ()),
    ],
)
def test_scopes_are_read(texts, scopes) -> None:
    assert read_scopes(texts) == scopes


def test_the_key_is_made_once_for_its_owner_only(tmp_path) -> None:
    path = tmp_path / "keys" / "token-key.pem"
    first, second = TokenSigner.open(path, issuer="a"), TokenSigner.open(path, issuer="a")
    assert second.verify(first.issue(Grant("x", ()), service="s").token, service="s") == Grant("x", ())
    assert first.certificate_pem == second.certificate_pem
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert [entry.name for entry in path.parent.iterdir()] == ["token-key.pem"]


def test_the_certificate_in_the_header_belongs_to_the_key(tmp_path) -> None:
    signer = TokenSigner.open(tmp_path / "key.pem", issuer="a")
    (encoded,) = jwt.get_unverified_header(signer.issue(Grant("x", ()), service="s").token)["x5c"]
    certificate = x509.load_der_x509_certificate(base64.b64decode(encoded))
    assert certificate == x509.load_pem_x509_certificate(signer.certificate_pem)
    certificate.verify_directly_issued_by(certificate)


def _rsa_key() -> bytes:
    private_key = rsa.generate_private_key(65537, 2048)
    return private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


@pytest.mark.parametrize(
    "other", [lambda key: b"hello", lambda key: key[: key.index(b"-----BEGIN CERT")], lambda key: _rsa_key()]
)
def test_a_file_with_something_else_is_no_key(tmp_path, other) -> None:
    path = tmp_path / "key.pem"
    load_or_create_key(path)
    path.write_bytes(other(path.read_bytes()))
    with pytest.raises(ValueError, match="move it away"):
        load_or_create_key(path)
