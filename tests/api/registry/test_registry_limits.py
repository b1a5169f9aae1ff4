"""What an operator has limited: quotas and the read-only mode, as clients see them; mounts within what a caller may read."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.registry.access import ACTIONS, Access
from api.registry.app import create_registry
from api.registry.manifests import digest_of
from api.registry.settings import RegistrySettings

WEB = "acme/web"
UPLOADS = f"/v2/{WEB}/blobs/uploads/"
EVERYTHING = frozenset(ACTIONS)


@pytest.fixture
def limited(registry, serve, tmp_path: Path):
    """Serves a registry with some settings; gives a client that may do everything with `acme/web`, and the storage."""
    opened = []

    def start(**settings: Any) -> tuple[httpx.Client, Any]:
        chosen = RegistrySettings(**settings)
        storage = chosen.open(tmp_path / "limited")
        app = create_registry(
            storage, registry.signer, registry.credentials, service="registry.test", read_only=chosen.read_only
        )
        client = httpx.Client(base_url=serve(app), headers=registry.bearer(Access(WEB, EVERYTHING)))
        opened.extend([client, storage])
        return client, storage

    yield start
    for one in opened:
        one.close()


Limited = Callable[..., tuple[httpx.Client, Any]]


def push(client: httpx.Client, content: bytes) -> httpx.Response:
    return client.post(UPLOADS, params={"digest": digest_of(content)}, content=content)


def assert_over_quota(answer: httpx.Response, said: str) -> None:
    assert answer.status_code == 403
    (error,) = answer.json()["errors"]
    assert error["code"] == "DENIED"
    assert said in error["message"]


@pytest.mark.parametrize(("setting", "of"), [("quota", "the registry"), ("repository_quota", WEB)])
def test_a_blob_above_the_quota_is_refused_in_words(limited: Limited, setting: str, of: str) -> None:
    client, storage = limited(**{setting: 10})
    assert push(client, b"12345678").status_code == 201
    assert_over_quota(push(client, b"abc"), f"a blob of 3 bytes doesn't fit into {of}: 8 of 10 bytes are used")
    assert push(client, b"ab").status_code == 201
    assert list(storage.scratch.iterdir()) == []


def test_an_upload_without_a_length_ends_when_the_quota_is_reached(limited: Limited) -> None:
    client, storage = limited(quota=1_500_000)
    location = client.post(UPLOADS).headers["location"]
    refused = client.patch(location, content=iter([b"x" * 1_000_000] * 3))
    assert_over_quota(refused, "1500000 bytes are used")
    assert client.get(location).status_code == 404
    assert list(storage.scratch.iterdir()) == []


def test_chunks_count_together(limited: Limited) -> None:
    client, _ = limited(quota=10)
    location = client.post(UPLOADS).headers["location"]
    assert client.patch(location, content=b"123456").status_code == 202
    assert_over_quota(client.patch(location, content=b"123456"), "a blob of 12 bytes")
    assert push(client, b"1234567890").status_code == 201


@pytest.mark.parametrize(("setting", "of"), [("quota", "the registry"), ("repository_quota", WEB)])
def test_uploads_that_are_under_way_count(limited: Limited, setting: str, of: str) -> None:
    client, _ = limited(**{setting: 10})
    under_way = client.post(UPLOADS).headers["location"]
    assert client.patch(under_way, content=b"1234567").status_code == 202
    other = client.post(UPLOADS).headers["location"]
    said = f"a blob of 4 bytes doesn't fit into {of}: 0 of 10 bytes are used, and 7 more are on their way"
    assert_over_quota(client.patch(other, content=b"abcd"), said)
    assert_over_quota(client.post(UPLOADS, params={"digest": digest_of(b"efgh")}, content=iter([b"efgh"])), said)
    assert push(client, b"ijk").status_code == 201
    assert client.delete(under_way).status_code == 204
    assert push(client, b"1234567").status_code == 201


def test_what_is_deleted_counts_no_more(limited: Limited) -> None:
    client, _ = limited(quota=10, repository_quota=10)
    push(client, b"12345678")
    assert client.delete(f"/v2/{WEB}/blobs/{digest_of(b'12345678')}").status_code == 202
    assert push(client, b"1234567890").status_code == 201


def test_a_mount_counts_for_its_repository_only(limited: Limited, registry) -> None:
    client, _ = limited(quota=10, repository_quota=10)
    push(client, b"12345678")
    both = registry.bearer(Access(WEB, EVERYTHING), Access("acme/api", EVERYTHING))
    mount = {"mount": digest_of(b"12345678"), "from": WEB}
    assert client.post("/v2/acme/api/blobs/uploads/", params=mount, headers=both).status_code == 201
    more = client.post("/v2/acme/api/blobs/uploads/", params={"digest": digest_of(b"xyz")}, content=b"xyz", headers=both)
    assert_over_quota(more, "8 of 10 bytes are used")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", UPLOADS),
        ("POST", UPLOADS + "?digest=" + digest_of(b"new")),
        ("POST", UPLOADS + "?mount={blob}&from=acme/web"),
        ("PATCH", UPLOADS + "0123"),
        ("PUT", UPLOADS + "0123"),
        ("DELETE", UPLOADS + "0123"),
        ("PUT", f"/v2/{WEB}/manifests/v1"),
        ("DELETE", f"/v2/{WEB}/manifests/v1"),
        ("DELETE", f"/v2/{WEB}/blobs/{{blob}}"),
    ],
)
def test_a_read_only_registry_refuses_every_write(limited: Limited, registry, method: str, path: str) -> None:
    client, storage = limited(read_only=True)
    received = storage.scratch / "content"
    received.write_bytes(b"content")
    storage.add_blob(WEB, digest_of(b"content"), received)
    storage.put_manifest(WEB, "v1", "", b"{}")
    blob = digest_of(b"content")

    refused = client.request(method, path.replace("{blob}", blob), content=b"new" if method in ("PUT", "POST") else b"")

    assert refused.status_code == 405
    assert refused.json()["errors"][0]["code"] == "UNSUPPORTED"
    assert "read-only" in refused.json()["errors"][0]["message"]
    assert client.get(f"/v2/{WEB}/blobs/{blob}").content == b"content"
    assert client.get(f"/v2/{WEB}/manifests/v1").content == b"{}"
    assert client.get(f"/v2/{WEB}/tags/list").json()["tags"] == ["v1"]
    stranger = registry.bearer(Access(WEB, frozenset({"pull"})))
    assert client.request(method, path.replace("{blob}", blob), headers=stranger).status_code == 401


@pytest.mark.parametrize("origin", ["&from={repository}", ""])
def test_a_blob_is_not_mounted_from_where_the_caller_may_not_read(registry, stock, origin: str) -> None:
    target = f"{stock.repository}-target"
    url = f"{registry.url}/v2/{target}/blobs/uploads/?mount={stock.blob}{origin.format(repository=stock.repository)}"
    own = Access(target, frozenset({"pull", "push"}))
    others = {
        "no access": (),
        "push only": (Access(stock.repository, frozenset({"push"})),),
        "bound to another digest": (Access(stock.repository, frozenset({"pull"}), frozenset({digest_of(b"other")})),),
    }
    for access in others.values():
        answer = httpx.post(url, headers=registry.bearer(own, *access))
        assert answer.status_code == 202, "an upload begins, as if the blob were nowhere"
        assert not registry.storage.has_blob(target, stock.blob)
    within = Access(stock.repository, frozenset({"pull"}), frozenset({stock.manifest}))
    assert httpx.post(url, headers=registry.bearer(own, within)).status_code == 201


def test_a_chunk_whose_range_is_not_its_length_is_refused(client: httpx.Client, repository: str) -> None:
    location = client.post(f"/v2/{repository}/blobs/uploads/").headers["location"]
    refused = client.patch(location, content=b"hello", headers={"Content-Range": "0-9"})
    assert refused.status_code == 400
    assert refused.json()["errors"][0]["code"] == "BLOB_UPLOAD_INVALID"
    assert client.get(location).headers["range"] == "0-0"


@pytest.mark.parametrize("hint", ["", "?digest-algorithm=sha512", "?digest-algorithm=sha256"])
def test_the_algorithm_may_be_told_at_the_start_or_not(client: httpx.Client, repository: str, hint: str) -> None:
    location = client.post(f"/v2/{repository}/blobs/uploads/{hint}").headers["location"]
    client.patch(location, content=b"hello ")
    digest = digest_of(b"hello world", "sha512")
    assert client.put(location, params={"digest": digest}, content=b"world").status_code == 201
    answer = client.get(f"/v2/{repository}/blobs/{digest}")
    assert (answer.content, answer.headers["docker-content-digest"]) == (b"hello world", digest)
