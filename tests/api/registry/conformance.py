"""The registries that the tests of OCI distribution spec 1.1 are run against: the built-in one, and one by other people.

Debian's docker-registry 2.8.2 is the other: a test that passes with both is judged by a peer. What that registry does otherwise
is listed in `PEER_DIFFERS` with the reason, and the test must fail there, so that the list can't go stale. The official suite
is a Go program, in none of the package indexes that these tests are installed from; nothing here is copied from it.
"""

import hashlib
import itertools
import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin

import httpx
import pytest
from free_port import free_port

from api.registry.access import ACTIONS, Access

IMAGE = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
EMPTY_CONFIG = "application/vnd.oci.empty.v1+json"
OCTETS = {"Content-Type": "application/octet-stream"}

_numbers = itertools.count(1)

PEER_DIFFERS = {
    "test_a_chunk_out_of_order_is_416": "2.8.2 takes it",
    "test_a_part_outside_of_a_blob_is_416": "2.8.2 breaks the connection off",
    "test_a_manifest_may_be_pushed_and_pulled_by_sha512": "2.8.2 keeps manifests by sha256 only",
    "test_referrers_of_nothing_are_an_empty_index": "2.8.2 has no referrers API",
    "test_referrers_are_listed_with_type_and_annotations": "2.8.2 has no referrers API",
    "test_referrers_are_filtered_by_type_and_say_so": "2.8.2 has no referrers API",
    "test_a_push_with_a_subject_says_that_referrers_are_kept": "2.8.2 doesn't know subjects",
    "test_a_referrer_that_is_deleted_is_listed_no_more": "2.8.2 has no referrers API",
    "test_a_subject_may_be_missing": "2.8.2 doesn't know subjects",
    "test_tags_are_listed_page_by_page_with_a_link": "2.8.2 lists all tags at once",
    "test_tags_after_last_are_those_that_sort_after_it": "2.8.2 lists all tags at once",
    "test_no_tags_are_listed_if_none_are_asked_for": "2.8.2 lists all tags at once",
    "test_a_tag_is_deleted_without_its_manifest": "2.8.2 deletes by digest only",
    "test_a_manifest_above_the_limit_is_413": "2.8.2 says 400",
}


@dataclass
class Registry:
    """A registry under test, and a repository of the test's own in it."""

    name: str
    http: httpx.Client
    repository: str
    other: str

    def path(self, rest: str, repository: str | None = None) -> str:
        return f"/v2/{repository or self.repository}/{rest}"

    def call(self, method: str, rest: str, *, repository: str | None = None, **more: Any) -> httpx.Response:
        return self.http.request(method, self.path(rest, repository), **more)

    def start(self, query: str = "") -> str:
        """A new upload's address, in full."""
        answer = self.call("POST", f"blobs/uploads/{query}")
        assert answer.status_code == 202, answer.text
        return self.location(answer)

    def location(self, answer: httpx.Response) -> str:
        return urljoin(str(self.http.base_url), answer.headers["location"])

    def end(self, location: str, digest: str, content: bytes = b"", **headers: str) -> httpx.Response:
        address = httpx.URL(location).copy_merge_params({"digest": digest})
        return self.http.put(address, content=content, headers={**OCTETS, **headers})

    def push_blob(self, content: bytes, repository: str | None = None) -> str:
        answer = self.call("POST", "blobs/uploads/", repository=repository)
        assert self.end(self.location(answer), sha256(content), content).status_code == 201
        return sha256(content)

    def image(self, text: str, **more: object) -> bytes:
        """A manifest whose blobs are there."""
        layer, config = text.encode(), b"{}"
        fields = {
            "schemaVersion": 2,
            "mediaType": IMAGE,
            "config": {"mediaType": EMPTY_CONFIG, "digest": self.push_blob(config), "size": len(config)},
            "layers": [{"mediaType": "text/plain", "digest": self.push_blob(layer), "size": len(layer)}],
            **more,
        }
        return json.dumps(fields).encode()

    def push(self, content: bytes, reference: str | None = None, media_type: str = IMAGE) -> httpx.Response:
        reference = reference or sha256(content)
        return self.call("PUT", f"manifests/{reference}", content=content, headers={"Content-Type": media_type})

    def refer(self, subject: bytes, text: str, **more: object) -> bytes:
        """A manifest about another one, pushed."""
        about = {"mediaType": IMAGE, "digest": sha256(subject), "size": len(subject)}
        content = self.image(text, subject=about, **more)
        assert self.push(content).status_code == 201
        return content


def sha256(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def sha512(content: bytes) -> str:
    return f"sha512:{hashlib.sha512(content).hexdigest()}"


def assert_error(answer: httpx.Response, status: int, *codes: str) -> None:
    """Section "Error Codes": a JSON body with a list of errors, each with a code in capitals."""
    assert answer.status_code == status, answer.text
    error = answer.json()["errors"][0]
    assert error["code"] in codes, error


@pytest.fixture(scope="module")
def peer_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    program = shutil.which("docker-registry")
    if program is None:
        pytest.skip("docker-registry is not on PATH")
    folder = tmp_path_factory.mktemp("peer")
    address = f"127.0.0.1:{free_port()}"
    config = {
        "version": 0.1,
        "log": {"level": "error", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(folder)}, "delete": {"enabled": True}},
        "http": {"addr": address},
    }
    (folder / "config.yml").write_text(json.dumps(config))  # JSON is YAML
    with subprocess.Popen([program, "serve", str(folder / "config.yml")], stderr=subprocess.DEVNULL) as process:
        try:
            _wait_for(f"http://{address}/v2/")
            yield f"http://{address}"
        finally:
            process.terminate()


def _wait_for(url: str) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            httpx.get(url)
            return
        except httpx.ConnectError:
            time.sleep(0.05)
    raise TimeoutError(f"nothing answers on {url}")


@pytest.fixture(params=["exclave", "docker-registry"])
def server(request: pytest.FixtureRequest) -> Iterator[Registry]:
    number = next(_numbers)
    repository, other = f"conform/web-{number}", f"conform/api-{number}"
    headers: dict[str, str] = {}
    if request.param == "exclave":
        ours = request.getfixturevalue("registry")
        url, everything = ours.url, frozenset(ACTIONS)
        headers = ours.bearer(Access(repository, everything), Access(other, everything))
    else:
        url = request.getfixturevalue("peer_url")
        differs = PEER_DIFFERS.get(request.node.originalname)
        if differs:
            request.applymarker(pytest.mark.xfail(reason=differs, strict=True))
    with httpx.Client(base_url=url, headers=headers) as http:
        yield Registry(request.param, http, repository, other)
