"""What nobody sends by accident: each is answered by a refusal in words, and changes nothing."""

import json
import threading
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from api.registry.access import Access
from api.registry.collect import Needs, collect
from api.registry.manifests import digest_of
from api.registry.storage import RegistryStorage

OCI = "application/vnd.oci.image.manifest.v1+json"
MANY_DIGITS = "9" * 5000


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "/v2/{repository}/tags/list?n=" + MANY_DIGITS, {}, 400),
        ("GET", "/v2/{repository}/blobs/{blob}", {"Range": f"bytes={MANY_DIGITS}-"}, 200),
        ("GET", "/v2/{repository}/blobs/{blob}", {"Range": f"bytes=0-{MANY_DIGITS}"}, 200),
        ("GET", "/v2/{repository}/blobs/{blob}", {"Range": f"bytes=-{MANY_DIGITS}"}, 200),
        ("PATCH", "{upload}", {"Content-Range": f"{MANY_DIGITS}-{MANY_DIGITS}"}, 400),
    ],
)
def test_a_number_of_thousands_of_digits(
    method: str, path: str, headers: dict[str, str], status: int, client: httpx.Client, stock: object
) -> None:
    """Python makes no number of so many digits: the answer was 500."""
    names = vars(stock)
    upload = client.post(f"/v2/{names['repository']}/blobs/uploads/").headers["location"]
    assert client.request(method, path.format(**names, upload=upload), headers=headers).status_code == status


@pytest.mark.parametrize("media_type", ["a/b\nX: y", "a/b\r\nX: y", "text/\u20ac", " ", "a" * 300])
def test_a_manifests_own_media_type_that_no_header_can_carry(client: httpx.Client, repository: str, media_type: str) -> None:
    """With a line feed in it, the manifest came back as other bytes than those that were pushed."""
    content = json.dumps({"schemaVersion": 2, "mediaType": media_type}).encode()
    answer = client.put(f"/v2/{repository}/manifests/v1", content=content)
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (400, "MANIFEST_INVALID")
    assert client.get(f"/v2/{repository}/manifests/v1").status_code == 404


def test_a_token_for_a_digest_does_not_reach_what_a_tag_in_an_index_names(registry, repository, client) -> None:
    """An index may list `latest` in place of a digest: a token bound to the index reached whatever that tag named."""
    secret = json.dumps({"schemaVersion": 2, "annotations": {"secret": "1"}}).encode()
    lure = json.dumps({"schemaVersion": 2, "manifests": [{"mediaType": OCI, "digest": "latest", "size": 1}]}).encode()
    client.put(f"/v2/{repository}/manifests/latest", content=secret, headers={"Content-Type": OCI})
    client.put(f"/v2/{repository}/manifests/lure", content=lure, headers={"Content-Type": OCI})
    bound = registry.bearer(Access(repository, frozenset({"pull"}), frozenset({digest_of(lure)})))
    answers = {
        reference: httpx.get(f"{client.base_url}/v2/{repository}/manifests/{reference}", headers=bound).status_code
        for reference in (digest_of(lure), digest_of(secret), "latest")
    }
    assert answers == {digest_of(lure): 200, digest_of(secret): 403, "latest": 403}


def test_a_blob_deleted_during_a_collection_does_not_end_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, blob_in: Callable[[RegistryStorage, bytes], str]
) -> None:
    """The collection ended in BlobUnknownError, and left all other repositories as they were."""
    with RegistryStorage.open(tmp_path / "registry") as storage:
        first, second = sorted(blob_in(storage, content) for content in (b"one", b"two"))
        users = storage.delete_blob

        def deleted_before(repository: str, digest: str) -> int:
            if digest == first:
                users(repository, digest)  # a client was faster
            return users(repository, digest)

        monkeypatch.setattr(storage, "delete_blob", deleted_before)
        collected = collect(storage, Needs(), now=4e9, grace=3600)
        assert [digest for _, digest in collected.blobs] == [second]


@pytest.fixture
def blob_in() -> Callable[[RegistryStorage, bytes], str]:
    def add(storage: RegistryStorage, content: bytes) -> str:
        received = storage.scratch / f"{threading.get_ident()}-{len(content)}"
        received.write_bytes(content)
        storage.add_blob("acme/web", digest_of(content), received)
        return digest_of(content)

    return add
