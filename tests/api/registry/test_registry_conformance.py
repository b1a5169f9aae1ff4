"""The OCI distribution spec, one case for each answer that a client relies on. Runs over real HTTP."""

import errno
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from api.registry.access import Access
from api.registry.manifests import MANIFEST_LIMIT, digest_of

MISSING = "sha256:" + "0" * 64
OCI = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
EMPTY = b'{"schemaVersion":2}'


@dataclass(frozen=True)
class Case:
    """One request to a stocked repository, and what comes back. `{…}` stands for a field of the stock."""

    name: str
    method: str
    path: str
    status: int
    code: str | None = None
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    answer: bytes | None = None
    answers: dict[str, str] = field(default_factory=dict)


BLOB = "/v2/{repository}/blobs/{blob}"
UPLOADS = "/v2/{repository}/blobs/uploads/"
MANIFESTS = "/v2/{repository}/manifests/"
TAGS = "/v2/{repository}/tags/list"
REFERRERS = "/v2/{repository}/referrers/"

CASES = [
    Case("ping", "GET", "/v2/", 200, answers={"docker-distribution-api-version": "registry/2.0"}),
    Case("ping without a slash", "GET", "/v2", 200),
    Case("ping by HEAD", "HEAD", "/v2/", 200),
    Case("ping by POST", "POST", "/v2/", 405, "UNSUPPORTED", answers={"allow": "GET, HEAD"}),
    Case("a path that is none", "GET", "/v2/_catalog", 404, "UNSUPPORTED"),
    # Blobs
    Case("blob", "GET", BLOB, 200, answer=b"0123456789", answers={"docker-content-digest": "{blob}", "content-length": "10"}),
    Case("blob by HEAD", "HEAD", BLOB, 200, answers={"docker-content-digest": "{blob}", "content-length": "10"}),
    Case("blob by POST", "POST", BLOB, 405, "UNSUPPORTED", answers={"allow": "GET, HEAD, DELETE"}),
    Case("missing blob", "GET", f"/v2/{{repository}}/blobs/{MISSING}", 404, "BLOB_UNKNOWN"),
    Case("missing blob by HEAD", "HEAD", f"/v2/{{repository}}/blobs/{MISSING}", 404),
    Case("missing blob by DELETE", "DELETE", f"/v2/{{repository}}/blobs/{MISSING}", 404, "BLOB_UNKNOWN"),
    Case("blob by a bad digest", "GET", "/v2/{repository}/blobs/sha256:short", 400, "DIGEST_INVALID"),
    Case("missing blob by sha512", "GET", "/v2/{repository}/blobs/sha512:" + "0" * 128, 404, "BLOB_UNKNOWN"),
    Case("blob by another algorithm", "GET", "/v2/{repository}/blobs/md5:" + "0" * 32, 400, "DIGEST_INVALID"),
    Case("range", "GET", BLOB, 206, headers={"Range": "bytes=2-4"}, answer=b"234", answers={"content-range": "bytes 2-4/10"}),
    Case("range to the end", "GET", BLOB, 206, headers={"Range": "bytes=7-"}, answer=b"789"),
    Case("range beyond the end", "GET", BLOB, 206, headers={"Range": "bytes=7-99"}, answer=b"789"),
    Case("range of the last bytes", "GET", BLOB, 206, headers={"Range": "bytes=-3"}, answer=b"789"),
    Case("range of more last bytes than there are", "GET", BLOB, 206, headers={"Range": "bytes=-99"}, answer=b"0123456789"),
    Case(
        "range outside",
        "GET",
        BLOB,
        416,
        "SIZE_INVALID",
        headers={"Range": "bytes=10-"},
        answers={"content-range": "bytes */10"},
    ),
    Case("range that is none", "GET", BLOB, 200, headers={"Range": "lines=1-2"}, answer=b"0123456789"),
    Case("range backwards", "GET", BLOB, 200, headers={"Range": "bytes=4-2"}, answer=b"0123456789"),
    Case("several ranges", "GET", BLOB, 200, headers={"Range": "bytes=0-1,3-4"}, answer=b"0123456789"),
    # Uploads
    Case("start an upload", "POST", UPLOADS, 202, answers={"range": "0-0"}),
    Case("uploads by GET", "GET", UPLOADS, 405, "UNSUPPORTED", answers={"allow": "POST"}),
    Case("upload at once", "POST", f"{UPLOADS}?digest={digest_of(b'new')}", 201, body=b"new"),
    Case("upload at once, other content", "POST", f"{UPLOADS}?digest={digest_of(b'new')}", 400, "DIGEST_INVALID", body=b"old"),
    Case("upload at once, bad digest", "POST", f"{UPLOADS}?digest=md5:0", 400, "DIGEST_INVALID"),
    Case("status of a missing upload", "GET", f"{UPLOADS}0123", 404, "BLOB_UPLOAD_UNKNOWN"),
    Case("chunk for a missing upload", "PATCH", f"{UPLOADS}0123", 404, "BLOB_UPLOAD_UNKNOWN", body=b"x"),
    Case("end of a missing upload", "PUT", f"{UPLOADS}0123?digest={MISSING}", 404, "BLOB_UPLOAD_UNKNOWN"),
    Case("cancel a missing upload", "DELETE", f"{UPLOADS}0123", 404, "BLOB_UPLOAD_UNKNOWN"),
    Case("mount what is here", "POST", f"{UPLOADS}?mount={{blob}}&from={{repository}}", 201),
    Case("mount what isn't there", "POST", f"{UPLOADS}?mount={MISSING}&from={{repository}}", 202),
    Case("mount from anywhere", "POST", f"{UPLOADS}?mount={{blob}}", 201, answers={"docker-content-digest": "{blob}"}),
    Case("mount what isn't anywhere", "POST", f"{UPLOADS}?mount={MISSING}", 202),
    Case("mount a bad digest", "POST", f"{UPLOADS}?mount=sha256:0", 400, "DIGEST_INVALID"),
    Case("upload by a bad algorithm", "POST", f"{UPLOADS}?digest-algorithm=md5", 400, "DIGEST_INVALID"),
    # Manifests
    Case("manifest by tag", "GET", f"{MANIFESTS}v1", 200, answers={"docker-content-digest": "{manifest}", "content-type": OCI}),
    Case("manifest by digest", "GET", f"{MANIFESTS}{{manifest}}", 200, answers={"docker-content-digest": "{manifest}"}),
    Case(
        "manifest by HEAD", "HEAD", f"{MANIFESTS}v1", 200, answers={"docker-content-digest": "{manifest}", "content-type": OCI}
    ),
    Case("index", "GET", f"{MANIFESTS}all", 200, answers={"content-type": INDEX}),
    Case("manifest by POST", "POST", f"{MANIFESTS}v1", 405, "UNSUPPORTED", answers={"allow": "GET, HEAD, PUT, DELETE"}),
    Case("missing tag", "GET", f"{MANIFESTS}v9", 404, "MANIFEST_UNKNOWN"),
    Case("missing tag by HEAD", "HEAD", f"{MANIFESTS}v9", 404),
    Case("missing manifest", "GET", f"{MANIFESTS}{MISSING}", 404, "MANIFEST_UNKNOWN"),
    Case("a tag that can't be", "GET", f"{MANIFESTS}.bad", 404, "MANIFEST_UNKNOWN"),
    Case("delete a missing tag", "DELETE", f"{MANIFESTS}v9", 404, "MANIFEST_UNKNOWN"),
    Case("put by tag", "PUT", f"{MANIFESTS}new", 201, body=EMPTY, answers={"docker-content-digest": digest_of(EMPTY)}),
    Case("put by digest", "PUT", f"{MANIFESTS}{digest_of(EMPTY)}", 201, body=EMPTY),
    Case("put under a bad tag", "PUT", f"{MANIFESTS}.bad", 400, "TAG_INVALID", body=EMPTY),
    Case("put under a bad digest", "PUT", f"{MANIFESTS}sha256:0", 400, "DIGEST_INVALID", body=EMPTY),
    Case("put under another digest", "PUT", f"{MANIFESTS}{MISSING}", 400, "DIGEST_INVALID", body=EMPTY),
    Case("put what isn't JSON", "PUT", f"{MANIFESTS}new", 400, "MANIFEST_INVALID", body=b"<xml/>"),
    Case("put what isn't UTF-8", "PUT", f"{MANIFESTS}new", 400, "MANIFEST_INVALID", body=b'{"\xff": 1}'),
    Case("put a list", "PUT", f"{MANIFESTS}new", 400, "MANIFEST_INVALID", body=b"[]"),
    Case("put bad layers", "PUT", f"{MANIFESTS}new", 400, "MANIFEST_INVALID", body=b'{"layers": [1]}'),
    Case("put a deep nest", "PUT", f"{MANIFESTS}new", 400, "MANIFEST_INVALID", body=b"[" * 100_000),
    Case(
        "put with a missing blob",
        "PUT",
        f"{MANIFESTS}new",
        400,
        "MANIFEST_BLOB_UNKNOWN",
        body=b'{"layers": [{"digest": "%s"}]}' % MISSING.encode(),
    ),
    Case(
        "put with a blob elsewhere",
        "PUT",
        f"{MANIFESTS}new",
        201,
        body=b'{"layers": [{"digest": "%s", "urls": ["https://elsewhere.test/x"]}]}' % MISSING.encode(),
    ),
    Case("put an index with missing children", "PUT", f"{MANIFESTS}new", 201, body=b'{"manifests": [{"digest": "sha256:0"}]}'),
    Case("put up to the limit", "PUT", f"{MANIFESTS}new", 201, body=b"{}".ljust(MANIFEST_LIMIT)),
    Case("put above the limit", "PUT", f"{MANIFESTS}new", 413, "SIZE_INVALID", body=b"{}".ljust(MANIFEST_LIMIT + 1)),
    # Lists
    Case("tags", "GET", TAGS, 200, answer=b'{"name":"{repository}","tags":["all","v1","v2"]}'),
    Case("tags after one", "GET", f"{TAGS}?last=all", 200, answer=b'{"name":"{repository}","tags":["v1","v2"]}'),
    Case("first page of tags", "GET", f"{TAGS}?n=2", 200, answers={"link": f'<{TAGS}?n=2&last=v1>; rel="next"'}),
    Case("no tags wanted", "GET", f"{TAGS}?n=0", 200, answer=b'{"name":"{repository}","tags":[]}'),
    Case("a bad page size", "GET", f"{TAGS}?n=-1", 400, "UNSUPPORTED"),
    Case("tags by POST", "POST", TAGS, 405, "UNSUPPORTED", answers={"allow": "GET"}),
    Case("referrers", "GET", f"{REFERRERS}{{manifest}}", 200, answers={"content-type": INDEX}),
    Case("referrers of something missing", "GET", f"{REFERRERS}{MISSING}", 200, answers={"content-type": INDEX}),
    Case("referrers of a bad digest", "GET", f"{REFERRERS}sha256:0", 400, "DIGEST_INVALID"),
    Case("name in capitals", "GET", "/v2/Acme/tags/list", 400, "NAME_INVALID"),
    Case("name with dots only", "GET", "/v2/%2e%2e/%2e%2e/tags/list", 400, "NAME_INVALID"),
    Case("name too long", "GET", f"/v2/{'a' * 256}/tags/list", 400, "NAME_INVALID"),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_registry_answers_as_the_spec_says(case: Case, stock, client: httpx.Client) -> None:
    def fill(text: str) -> str:
        for key, value in vars(stock).items():
            text = text.replace("{" + key + "}", str(value))
        return text

    response = client.request(case.method, fill(case.path), headers=case.headers, content=case.body)

    assert response.status_code == case.status, response.text
    for key, value in case.answers.items():
        assert response.headers.get(key) == fill(value)
    if case.answer is not None:
        assert response.content == fill(case.answer.decode()).encode()
    if case.code is not None:
        (error,) = response.json()["errors"]
        assert error["code"] == case.code
        assert error["message"]


def test_a_blob_comes_in_chunks(client: httpx.Client, repository: str) -> None:
    started = client.post(f"/v2/{repository}/blobs/uploads/")
    location = started.headers["location"]
    assert client.get(location).headers["range"] == "0-0"

    first = client.patch(location, content=b"hello ", headers={"Content-Range": "0-5"})
    assert (first.status_code, first.headers["range"]) == (202, "0-5")
    status = client.get(location)
    assert (status.status_code, status.headers["range"]) == (204, "0-5")
    client.patch(location, content=b"wor")
    ended = client.put(location, params={"digest": digest_of(b"hello world")}, content=b"ld", headers={"Content-Range": "9-10"})

    assert ended.status_code == 201
    assert client.get(ended.headers["location"]).content == b"hello world"
    assert client.get(location).status_code == 404


@pytest.mark.parametrize(("declared", "status"), [("0-5", 416), ("7-9", 416), ("x", 400)])
def test_a_chunk_out_of_order_is_refused_and_changes_nothing(client, repository, declared, status) -> None:
    location = client.post(f"/v2/{repository}/blobs/uploads/").headers["location"]
    client.patch(location, content=b"hello ")

    refused = client.patch(location, content=b"world", headers={"Content-Range": declared})

    assert refused.status_code == status
    assert refused.json()["errors"][0]["code"] == "BLOB_UPLOAD_INVALID"
    assert client.get(location).headers["range"] == "0-5"


def test_an_upload_with_another_digest_ends_without_a_blob(client: httpx.Client, repository: str) -> None:
    location = client.post(f"/v2/{repository}/blobs/uploads/").headers["location"]

    refused = client.put(location, params={"digest": digest_of(b"right")}, content=b"wrong")

    assert refused.json()["errors"][0]["code"] == "DIGEST_INVALID"
    assert client.get(location).status_code == 404
    for content in (b"right", b"wrong"):
        assert client.head(f"/v2/{repository}/blobs/{digest_of(content)}").status_code == 404


def test_an_upload_without_a_digest_can_be_ended_again(client: httpx.Client, repository: str) -> None:
    location = client.post(f"/v2/{repository}/blobs/uploads/").headers["location"]
    assert client.put(location, content=b"x").json()["errors"][0]["code"] == "DIGEST_INVALID"
    assert client.put(location, params={"digest": digest_of(b"x")}, content=b"x").status_code == 201


def test_an_upload_that_is_given_up_is_gone(client: httpx.Client, repository: str) -> None:
    location = client.post(f"/v2/{repository}/blobs/uploads/").headers["location"]
    assert client.delete(location).status_code == 204
    assert client.get(location).status_code == 404


def test_an_upload_belongs_to_its_repository(registry, client: httpx.Client, repository: str) -> None:
    location = client.post(f"/v2/{repository}/blobs/uploads/").headers["location"]
    other = location.replace(repository, f"{repository}-other")
    headers = registry.bearer(Access(f"{repository}-other", frozenset({"push"})))
    assert httpx.get(registry.url + other, headers=headers).json()["errors"][0]["code"] == "BLOB_UPLOAD_UNKNOWN"


def test_a_full_disk_is_said_so_and_ends_the_upload(client: httpx.Client, repository: str, monkeypatch, caplog) -> None:
    def full(path: Path, content: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    location = client.post(f"/v2/{repository}/blobs/uploads/").headers["location"]
    with monkeypatch.context() as patch:
        patch.setattr("api.registry.durable.append", full)
        refused = client.patch(location, content=b"x")
    assert refused.status_code == 507
    assert "disk is full" in refused.json()["errors"][0]["message"]
    assert "disk is full" in caplog.text
    assert client.get(location).status_code == 404


def test_a_blob_of_many_blocks_is_kept_byte_for_byte(client: httpx.Client, repository: str) -> None:
    content = bytes(range(256)) * 20_000
    location = client.post(f"/v2/{repository}/blobs/uploads/").headers["location"]
    assert client.put(location, params={"digest": digest_of(content)}, content=content).status_code == 201
    path = f"/v2/{repository}/blobs/{digest_of(content)}"
    assert client.get(path).content == content
    assert client.get(path, headers={"Range": "bytes=1000000-3000000"}).content == content[1_000_000:3_000_001]


def test_a_manifest_is_kept_byte_for_byte_with_the_media_type_of_its_push(client: httpx.Client, repository: str) -> None:
    content = b'{ "schemaVersion":2,\r\n "unknown": [1.0, "\\u00e9"],\n"mediaType": "application/vnd.of.nobody" }\n\n'
    for media_type in ("application/vnd.of.nobody", "application/vnd.other+json; charset=utf-8"):
        client.put(f"/v2/{repository}/manifests/odd", content=content, headers={"Content-Type": media_type})
        read = client.get(f"/v2/{repository}/manifests/odd")
        assert (read.content, read.headers["content-type"]) == (content, media_type)


@pytest.mark.parametrize(
    ("content", "media_type"),
    [
        (b'{"schemaVersion":2}', OCI),
        (b'{"schemaVersion":2,"manifests":[]}', INDEX),
        (b'{"schemaVersion":2,"mediaType":"application/vnd.docker.distribution.manifest.v2+json"}', None),
    ],
)
def test_a_push_without_content_type_gets_it_from_the_manifest(client, repository, content, media_type) -> None:
    assert client.put(f"/v2/{repository}/manifests/bare", content=content).status_code == 201
    read = client.get(f"/v2/{repository}/manifests/bare")
    expected = media_type or "application/vnd.docker.distribution.manifest.v2+json"
    assert (read.content, read.headers["content-type"]) == (content, expected)


def test_a_tag_moves_and_the_old_manifest_stays(client: httpx.Client, stock) -> None:
    client.put(f"/v2/{stock.repository}/manifests/v1", content=EMPTY)
    base = f"/v2/{stock.repository}/manifests/"
    assert client.head(f"{base}v1").headers["docker-content-digest"] == digest_of(EMPTY)
    assert client.head(f"{base}v2").headers["docker-content-digest"] == stock.manifest


@pytest.mark.parametrize(
    ("reference", "headers", "status"),
    [
        ("v1", {"If-Match": '"{manifest}"'}, 201),
        ("v1", {"If-Match": '"{index}"'}, 412),
        ("v1", {"If-Match": '"v1"'}, 400),
        ("v1", {"If-None-Match": "*"}, 412),
        ("new", {"If-None-Match": "*"}, 201),
        ("new", {"If-Match": '"{manifest}"'}, 412),
    ],
)
def test_a_tag_is_written_only_over_what_a_precondition_names(client, stock, reference, headers, status) -> None:
    path, content = f"/v2/{stock.repository}/manifests/{reference}", b'{"schemaVersion": 2}'
    before = client.get(path)
    named = {name: value.format(manifest=stock.manifest, index=stock.index) for name, value in headers.items()}
    answer = client.put(path, content=content, headers={"Content-Type": "a/b", **named})
    assert answer.status_code == status, answer.text
    after = client.get(path)
    expected = (200, content) if status == 201 else (before.status_code, before.content)
    assert (after.status_code, after.content) == expected


def test_deleting_a_tag_leaves_the_manifest(client: httpx.Client, stock) -> None:
    base = f"/v2/{stock.repository}/manifests/"
    assert client.delete(f"{base}v1").status_code == 202
    assert client.get(f"{base}v1").status_code == 404
    assert client.get(f"{base}{stock.manifest}").status_code == 200


def test_deleting_a_manifest_takes_its_tags_along(client: httpx.Client, stock) -> None:
    base = f"/v2/{stock.repository}/manifests/"
    assert client.delete(base + stock.manifest).status_code == 202
    assert client.get(base + stock.manifest).status_code == 404
    assert client.get(f"/v2/{stock.repository}/tags/list").json()["tags"] == ["all"]


def test_deleting_a_blob_leaves_it_in_other_repositories(client, registry, add_blob, stock) -> None:
    other = f"{stock.repository}-other"
    content = stock.content + stock.repository.encode()
    blob = add_blob(stock.repository, content)
    registry.storage.mount_blob(other, blob, stock.repository)

    assert client.delete(f"/v2/{stock.repository}/blobs/{blob}").status_code == 202

    assert client.head(f"/v2/{stock.repository}/blobs/{blob}").status_code == 404
    assert registry.storage.read_blob(other, blob) == content


def test_tags_come_page_by_page(client: httpx.Client, stock) -> None:
    url, seen = f"/v2/{stock.repository}/tags/list?n=1", []
    while url:
        page = client.get(url)
        seen += page.json()["tags"]
        url = page.links.get("next", {}).get("url")
    assert seen == ["all", "v1", "v2"]


def test_tags_of_a_repository_that_was_never_pushed_to_are_unknown(client: httpx.Client, repository: str) -> None:
    assert client.get(f"/v2/{repository}/tags/list").json()["errors"][0]["code"] == "NAME_UNKNOWN"


def test_a_repository_may_lie_inside_another(registry, add_blob, stock) -> None:
    inner = f"{stock.repository}/inner"
    add_blob(inner, b"inner")
    assert registry.storage.tags(inner) == []
    assert registry.storage.tags(stock.repository) == ["all", "v1", "v2"]


def test_referrers_are_described_and_filtered(client: httpx.Client, stock) -> None:
    path = f"/v2/{stock.repository}/referrers/{stock.manifest}"
    index = client.get(path).json()
    assert (index["schemaVersion"], index["mediaType"]) == (2, INDEX)
    (referrer,) = index["manifests"]
    assert referrer == {
        "mediaType": OCI,
        "digest": stock.referrer,
        "size": int(client.head(f"/v2/{stock.repository}/manifests/{stock.referrer}").headers["content-length"]),
        "artifactType": "application/vnd.test.note",
        "annotations": {"about": "it"},
    }
    of_type = client.get(path, params={"artifactType": "application/vnd.test.note"})
    assert of_type.headers["oci-filters-applied"] == "artifactType"
    assert len(of_type.json()["manifests"]) == 1
    assert client.get(path, params={"artifactType": "application/vnd.other"}).json()["manifests"] == []


def test_a_referrer_may_come_before_its_subject_and_go_again(client: httpx.Client, repository: str) -> None:
    content = b'{"schemaVersion":2,"subject":{"digest":"%s"},"config":{"mediaType":"a/b","digest":"%s"}}'
    empty = digest_of(b"{}")
    client.post(f"/v2/{repository}/blobs/uploads/", params={"digest": empty}, content=b"{}")
    content = content % (digest_of(EMPTY).encode(), empty.encode())

    pushed = client.put(f"/v2/{repository}/manifests/{digest_of(content)}", content=content)
    assert pushed.headers["oci-subject"] == digest_of(EMPTY)
    path = f"/v2/{repository}/referrers/{digest_of(EMPTY)}"
    assert [entry["artifactType"] for entry in client.get(path).json()["manifests"]] == ["a/b"]

    client.delete(f"/v2/{repository}/manifests/{digest_of(content)}")
    assert client.get(path).json()["manifests"] == []
