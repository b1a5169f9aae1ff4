"""Who may do what: tokens, the challenge, and tokens that are bound to digests (`digest-pinned`)."""

import base64
import hmac
import json
import logging
import time

import httpx
import jwt
import pytest

from api.registry.access import ACTIONS, Access
from api.registry.signing_key import load_or_create_key
from api.registry.tokens import TOKEN_SECONDS, TokenSigner

MISSING = "sha256:" + "0" * 64
PULL, PUSH, DELETE = frozenset({"pull"}), frozenset({"pull", "push"}), frozenset({"delete"})


def test_a_caller_without_a_token_is_told_where_to_get_one(registry, stock) -> None:
    ping = httpx.get(f"{registry.url}/v2/")
    assert ping.status_code == 401
    assert ping.headers["www-authenticate"] == f'Bearer realm="{registry.url}/token",service="registry.test"'
    assert ping.json()["errors"][0]["code"] == "UNAUTHORIZED"

    read = httpx.get(f"{registry.url}/v2/{stock.repository}/manifests/v1")
    assert read.headers["www-authenticate"].endswith(f',scope="repository:{stock.repository}:pull"')
    write = httpx.post(f"{registry.url}/v2/{stock.repository}/blobs/uploads/")
    assert write.headers["www-authenticate"].endswith(f',scope="repository:{stock.repository}:pull,push"')


def test_the_realm_is_the_host_that_the_caller_used(registry) -> None:
    named = httpx.get(f"{registry.url}/v2/", headers={"Host": "registry.acme.test:8443"})
    assert 'realm="http://registry.acme.test:8443/token"' in named.headers["www-authenticate"]
    forged = httpx.get(f"{registry.url}/v2/", headers={"Host": 'a",service="b'})
    assert forged.status_code in (400, 401)
    assert 'service="b' not in forged.headers.get("www-authenticate", "")


@pytest.mark.parametrize(
    ("method", "path", "allowing"),
    [
        ("GET", "manifests/v1", PULL),
        ("HEAD", "blobs/{blob}", PULL),
        ("GET", "tags/list", PULL),
        ("GET", "referrers/{manifest}", PULL),
        ("POST", "blobs/uploads/", PUSH),
        ("PUT", "manifests/v3", PUSH),
        ("DELETE", "manifests/v1", DELETE),
        ("DELETE", "blobs/{blob}", DELETE),
    ],
)
def test_each_request_needs_its_action_on_its_repository(registry, stock, method, path, allowing) -> None:
    url = f"{registry.url}/v2/{stock.repository}/" + path.format(**vars(stock))

    def status(*access: Access) -> int:
        return httpx.request(method, url, headers=registry.bearer(*access), content=b"{}").status_code

    others = frozenset(ACTIONS) - (allowing if "push" not in allowing else {"push"})
    assert status(Access(stock.repository, others)) == 401
    assert status(Access(f"{stock.repository}-other", frozenset(ACTIONS))) == 401
    assert status() == 401
    assert status(Access(stock.repository, allowing)) < 300


def test_a_push_with_a_pull_token_is_refused_and_logged(registry, stock, caplog) -> None:
    headers = registry.bearer(Access(stock.repository, PULL))
    with caplog.at_level(logging.WARNING, logger="api.registry.app"):
        refused = httpx.post(f"{registry.url}/v2/{stock.repository}/blobs/uploads/", headers=headers)
    assert refused.status_code == 401
    assert 'error="insufficient_scope"' in refused.headers["www-authenticate"]
    (record,) = caplog.records
    assert record.refusal["subject"] == "tester"
    assert "doesn't allow push" in record.getMessage()
    assert headers["Authorization"].split()[1] not in record.getMessage()


def _refused(registry, header: str) -> bool:
    response = httpx.get(f"{registry.url}/v2/", headers={"Authorization": header})
    assert response.status_code in (200, 401)
    return response.status_code == 401


def _signed_with_the_certificate(claims: dict[str, object], certificate: bytes) -> str:
    """What everybody can make: an HMAC whose secret is the public half of the key."""
    parts = [json.dumps(part).encode() for part in ({"alg": "HS256", "typ": "JWT"}, claims)]
    text = b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in parts)
    return b".".join([text, base64.urlsafe_b64encode(hmac.digest(certificate, text, "sha256")).rstrip(b"=")]).decode()


def test_a_token_that_does_not_hold_is_refused(registry, stock, tmp_path) -> None:
    key = load_or_create_key(tmp_path / "key.pem")
    own = registry.key
    good = registry.bearer(Access(stock.repository, PULL))["Authorization"]
    assert not _refused(registry, good)

    late = TokenSigner(own, issuer="ims.test", clock=lambda: time.time() - TOKEN_SECONDS - 1)
    early = TokenSigner(own, issuer="ims.test", clock=lambda: time.time() + 60)
    forger = TokenSigner(key, issuer="ims.test")
    stranger = TokenSigner(own, issuer="other.test")
    for signer in (late, early, forger, stranger):
        assert _refused(registry, registry.bearer(signer=signer)["Authorization"])
    assert _refused(registry, registry.bearer(service="other.test")["Authorization"])

    claims = jwt.decode(good.split()[1], options={"verify_signature": False})
    assert _refused(registry, f"Bearer {jwt.encode(claims, '', 'none')}")
    assert _refused(registry, f"Bearer {_signed_with_the_certificate(claims, registry.signer.certificate_pem)}")
    assert _refused(registry, f"Bearer {jwt.encode({**claims, 'aud': [claims['aud']]}, own.private_key, 'ES256')}")
    for missing in ("exp", "nbf", "aud", "iss", "sub", "access"):
        rest = {name: value for name, value in claims.items() if name != missing}
        assert _refused(registry, f"Bearer {jwt.encode(rest, own.private_key, 'ES256')}"), missing
    for header in ("Bearer", "Bearer x.y.z", f"Basic {good.split()[1]}", good.split()[1]):
        assert _refused(registry, header)


def test_a_star_in_a_token_is_no_right(registry, stock) -> None:
    claims = jwt.decode(registry.bearer()["Authorization"].split()[1], options={"verify_signature": False})
    claims["access"] = [{"type": "repository", "name": stock.repository, "actions": ["*"]}]
    token = jwt.encode(claims, registry.key.private_key, "ES256")
    url = f"{registry.url}/v2/{stock.repository}/manifests/v1"
    assert httpx.get(url, headers={"Authorization": f"Bearer {token}"}).status_code == 401


def test_a_mount_needs_a_pull_on_the_other_repository(registry, stock, repository) -> None:
    target = f"{repository}-target"
    url = f"{registry.url}/v2/{target}/blobs/uploads/?mount={stock.blob}&from={stock.repository}"
    own = Access(target, PUSH)
    assert httpx.post(url, headers=registry.bearer(own)).status_code == 202
    bound = Access(stock.repository, PULL, frozenset({MISSING}))
    assert httpx.post(url, headers=registry.bearer(own, bound)).status_code == 202
    assert not registry.storage.has_blob(target, stock.blob)
    assert httpx.post(url, headers=registry.bearer(own, Access(stock.repository, PULL))).status_code == 201
    assert registry.storage.has_blob(target, stock.blob)


@pytest.fixture
def signed(registry, stock, add_blob):
    """A second artifact in the stocked repository, with a signature."""

    def put(reference: str, blob: str) -> str:
        content = json.dumps({"schemaVersion": 2, "layers": [{"digest": blob}]}).encode()
        return registry.storage.put_manifest(stock.repository, reference, "", content).digest

    blob, payload = add_blob(stock.repository, b"bundle"), add_blob(stock.repository, b"signature")
    digest = put("bundle", blob)
    tag = digest.replace(":", "-") + ".sig"
    return {"digest": digest, "blob": blob, "tag": tag, "signature": put(tag, payload), "payload": payload}


@pytest.mark.service
def test_a_token_bound_to_a_digest_reads_that_artifact_and_nothing_else(registry, stock, signed) -> None:
    headers = registry.bearer(Access(stock.repository, PULL, frozenset({signed["digest"]})))

    def status(path: str) -> int:
        statuses = {
            httpx.request(method, f"{registry.url}/v2/{stock.repository}/{path}", headers=headers).status_code
            for method in (("GET",) if path.startswith(("tags", "referrers")) else ("GET", "HEAD"))
        }
        assert len(statuses) == 1
        return statuses.pop()

    for allowed in (
        f"manifests/{signed['digest']}",
        f"manifests/{signed['tag']}",
        f"manifests/{signed['signature']}",
        f"referrers/{signed['digest']}",
        f"blobs/{signed['blob']}",
        f"blobs/{signed['payload']}",
    ):
        assert status(allowed) == 200, allowed
    for denied in (
        "manifests/bundle",
        "manifests/v1",
        "manifests/nowhere",
        f"manifests/{stock.manifest}",
        f"manifests/{stock.manifest.replace(':', '-')}.sig",
        f"referrers/{stock.manifest}",
        f"blobs/{stock.blob}",
        f"blobs/{MISSING}",
        "tags/list",
    ):
        assert status(denied) == 403, denied


def test_a_missing_signature_of_a_bound_artifact_is_unknown_rather_than_denied(registry, stock) -> None:
    headers = registry.bearer(Access(stock.repository, PULL, frozenset({stock.manifest})))
    tag = stock.manifest.replace(":", "-") + ".sig"
    missing = httpx.get(f"{registry.url}/v2/{stock.repository}/manifests/{tag}", headers=headers)
    assert (missing.status_code, missing.json()["errors"][0]["code"]) == (404, "MANIFEST_UNKNOWN")


def test_a_token_bound_to_an_index_reads_its_manifests_and_their_referrers(registry, stock) -> None:
    headers = registry.bearer(Access(stock.repository, PULL, frozenset({stock.index})))
    for path in (f"manifests/{stock.manifest}", f"blobs/{stock.blob}", f"manifests/{stock.referrer}"):
        assert httpx.get(f"{registry.url}/v2/{stock.repository}/{path}", headers=headers).status_code == 200, path


def test_what_a_bound_token_reaches_is_followed_once_until_the_repository_changes(
    registry, stock, add_blob, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A copy of 200 blobs would else read all manifests 400 times."""
    followed: list[str] = []
    read = registry.storage.referrers
    monkeypatch.setattr(registry.storage, "referrers", lambda name, digest: followed.append(digest) or read(name, digest))
    headers = registry.bearer(Access(stock.repository, PULL, frozenset({stock.manifest})))

    def status(path: str) -> int:
        return httpx.head(f"{registry.url}/v2/{stock.repository}/{path}", headers=headers).status_code

    assert [status(f"blobs/{stock.blob}") for _ in range(5)] == [200] * 5
    assert followed.count(stock.manifest) == 1

    payload = add_blob(stock.repository, b"a signature that came later")
    assert status(f"blobs/{payload}") == 403
    content = json.dumps({"schemaVersion": 2, "layers": [{"digest": payload}]}).encode()
    tag = stock.manifest.replace(":", "-") + ".sig"
    registry.storage.put_manifest(stock.repository, tag, "", content)
    assert status(f"blobs/{payload}") == 200
    registry.storage.delete_manifest(stock.repository, tag)
    assert status(f"blobs/{payload}") == 403
    assert followed.count(stock.manifest) == 3


def test_a_denial_is_not_a_challenge(registry, stock) -> None:
    headers = registry.bearer(Access(stock.repository, PULL, frozenset({MISSING})))
    denied = httpx.get(f"{registry.url}/v2/{stock.repository}/manifests/{stock.manifest}", headers=headers)
    assert (denied.status_code, denied.json()["errors"][0]["code"]) == (403, "DENIED")
    assert "www-authenticate" not in denied.headers


def test_access_bound_to_digests_can_not_write() -> None:
    with pytest.raises(ValueError, match="pulls only"):
        Access("acme/web", PUSH, frozenset({MISSING}))
