"""OCI distribution spec 1.1 about manifests and tags, one test for each requirement, under the spec's own headings."""

import json

import pytest
from conformance import EMPTY_CONFIG, IMAGE, INDEX, Registry, assert_error, sha256, sha512

# Pulling manifests (end-3)


def test_a_manifest_is_pulled_by_tag_and_by_digest_byte_for_byte(server: Registry) -> None:
    content = server.image("pulled")
    server.push(content, "v1")
    for reference in ("v1", sha256(content)):
        answer = server.call("GET", f"manifests/{reference}", headers={"Accept": IMAGE})
        assert (answer.status_code, answer.content, answer.headers["content-type"]) == (200, content, IMAGE)
        assert answer.headers["docker-content-digest"] == sha256(content)
        head = server.call("HEAD", f"manifests/{reference}", headers={"Accept": IMAGE})
        assert (head.status_code, head.content) == (200, b"")
        assert (head.headers["content-length"], head.headers["content-type"]) == (str(len(content)), IMAGE)


def test_a_missing_manifest_is_404(server: Registry) -> None:
    server.push(server.image("another"), "v1")
    for reference in ("v2", sha256(b"missing")):
        assert_error(server.call("GET", f"manifests/{reference}"), 404, "MANIFEST_UNKNOWN", "NAME_UNKNOWN")
        assert server.call("HEAD", f"manifests/{reference}").status_code == 404


# Pushing manifests (end-7)


def test_a_manifest_is_pushed_and_its_address_told(server: Registry) -> None:
    content = server.image("pushed")
    answer = server.push(content, "v1")
    assert (answer.status_code, answer.headers["docker-content-digest"]) == (201, sha256(content))
    assert server.http.get(server.location(answer), headers={"Accept": IMAGE}).content == content


def test_a_manifest_may_have_no_layers(server: Registry) -> None:
    content = server.image("bare", layers=[])
    assert server.push(content).status_code == 201


def test_a_manifest_with_a_missing_blob_is_refused(server: Registry) -> None:
    layer = {"mediaType": "text/plain", "digest": sha256(b"missing"), "size": 7}
    assert_error(
        server.push(server.image("x", layers=[layer])), 400, "MANIFEST_BLOB_UNKNOWN", "BLOB_UNKNOWN", "MANIFEST_INVALID"
    )


def test_a_manifest_that_is_no_json_is_refused(server: Registry) -> None:
    assert_error(server.push(b"not json", "v1"), 400, "MANIFEST_INVALID")


def test_a_manifest_under_a_foreign_digest_is_refused(server: Registry) -> None:
    content = server.image("mine")
    assert_error(server.push(content, sha256(b"other")), 400, "DIGEST_INVALID")


def test_a_manifest_above_the_limit_is_413(server: Registry) -> None:
    content = server.image("large", annotations={"much": "x" * (5 * 1024 * 1024)})
    assert server.push(content).status_code == 413


def test_an_index_of_several_platforms_is_kept_byte_for_byte(server: Registry) -> None:
    children = [server.image(name) for name in ("amd64", "arm64")]
    for child in children:
        server.push(child)
    listed = [{"mediaType": IMAGE, "digest": sha256(child), "size": len(child)} for child in children]
    content = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": listed}, indent=1).encode()
    assert server.push(content, "all", INDEX).status_code == 201
    answer = server.call("GET", "manifests/all", headers={"Accept": INDEX})
    assert (answer.content, answer.headers["content-type"]) == (content, INDEX)


def test_a_tag_moves_to_the_manifest_that_was_pushed_last(server: Registry) -> None:
    first, second = server.image("first"), server.image("second")
    server.push(first, "v1")
    server.push(second, "v1")
    assert server.call("GET", "manifests/v1", headers={"Accept": IMAGE}).content == second
    assert server.call("GET", f"manifests/{sha256(first)}", headers={"Accept": IMAGE}).content == first


def test_a_manifest_may_be_pushed_and_pulled_by_sha512(server: Registry) -> None:
    content = server.image("long")
    answer = server.push(content, sha512(content))
    assert (answer.status_code, answer.headers["docker-content-digest"]) == (201, sha512(content))
    assert server.call("GET", f"manifests/{sha512(content)}").content == content
    assert_error(server.push(content, sha512(b"other")), 400, "DIGEST_INVALID")


# Pushing manifests with a subject (end-7), listing referrers (end-12)


def test_a_push_with_a_subject_says_that_referrers_are_kept(server: Registry) -> None:
    subject = server.image("subject")
    about = {"mediaType": IMAGE, "digest": sha256(subject), "size": len(subject)}
    answer = server.push(server.image("note", subject=about))
    assert (answer.status_code, answer.headers["oci-subject"]) == (201, sha256(subject))


def test_referrers_of_nothing_are_an_empty_index(server: Registry) -> None:
    answer = server.call("GET", f"referrers/{sha256(b'nothing')}")
    assert (answer.status_code, answer.headers["content-type"]) == (200, INDEX)
    assert answer.json() == {"schemaVersion": 2, "mediaType": INDEX, "manifests": []}


def test_referrers_are_listed_with_type_and_annotations(server: Registry) -> None:
    subject = server.image("subject")
    server.push(subject)
    typed = server.refer(subject, "typed", artifactType="text/x-note", annotations={"about": "it"})
    by_config = server.refer(subject, "by config")
    listed = server.call("GET", f"referrers/{sha256(subject)}").json()["manifests"]
    found = {entry["digest"]: entry for entry in listed}
    assert found[sha256(typed)] == {
        "mediaType": IMAGE,
        "digest": sha256(typed),
        "size": len(typed),
        "artifactType": "text/x-note",
        "annotations": {"about": "it"},
    }
    assert found[sha256(by_config)]["artifactType"] == EMPTY_CONFIG
    assert len(found) == 2


def test_referrers_are_filtered_by_type_and_say_so(server: Registry) -> None:
    subject = server.image("subject")
    server.push(subject)
    note = server.refer(subject, "note", artifactType="text/x-note")
    server.refer(subject, "bill", artifactType="text/x-bill")
    answer = server.call("GET", f"referrers/{sha256(subject)}", params={"artifactType": "text/x-note"})
    assert answer.headers["oci-filters-applied"] == "artifactType"
    assert [entry["digest"] for entry in answer.json()["manifests"]] == [sha256(note)]


def test_a_subject_may_be_missing(server: Registry) -> None:
    note = server.refer(b"never pushed", "note")
    listed = server.call("GET", f"referrers/{sha256(b'never pushed')}").json()["manifests"]
    assert [entry["digest"] for entry in listed] == [sha256(note)]


def test_a_referrer_that_is_deleted_is_listed_no_more(server: Registry) -> None:
    subject = server.image("subject")
    note = server.refer(subject, "note")
    assert server.call("DELETE", f"manifests/{sha256(note)}").status_code == 202
    assert server.call("GET", f"referrers/{sha256(subject)}").json()["manifests"] == []


# Listing tags (end-8)


def test_tags_are_listed_in_order(server: Registry) -> None:
    content = server.image("tagged")
    for tag in ("b", "a", "B", "10", "9"):
        server.push(content, tag)
    listed = server.call("GET", "tags/list").json()
    if server.name == "docker-registry":
        listed["tags"].sort()  # 2.8.2 lists them as its disk does
    assert listed == {"name": server.repository, "tags": ["10", "9", "B", "a", "b"]}


def test_tags_are_listed_page_by_page_with_a_link(server: Registry) -> None:
    content = server.image("tagged")
    for number in range(5):
        server.push(content, f"v{number}")
    seen, address = [], server.path("tags/list?n=2")
    while address:
        page = server.http.get(address)
        assert len(page.json()["tags"]) <= 2
        seen.append(page.json()["tags"])
        address = page.links.get("next", {}).get("url", "")
    assert seen == [["v0", "v1"], ["v2", "v3"], ["v4"]]


def test_tags_after_last_are_those_that_sort_after_it(server: Registry) -> None:
    content = server.image("tagged")
    for number in range(3):
        server.push(content, f"v{number}")
    assert server.call("GET", "tags/list?n=9&last=v0").json()["tags"] == ["v1", "v2"]
    assert server.call("GET", "tags/list?last=v1x").json()["tags"] == ["v2"], "`last` needn't be a tag itself"


def test_no_tags_are_listed_if_none_are_asked_for(server: Registry) -> None:
    server.push(server.image("tagged"), "v1")
    answer = server.call("GET", "tags/list?n=0")
    assert (answer.status_code, answer.json()["tags"]) == (200, [])


def test_tags_of_an_unknown_repository_are_404(server: Registry) -> None:
    assert_error(server.call("GET", "tags/list"), 404, "NAME_UNKNOWN")


# Deleting (end-9, end-10)


def test_a_manifest_is_deleted_by_digest(server: Registry) -> None:
    content = server.image("gone")
    server.push(content, "v1")
    assert server.call("DELETE", f"manifests/{sha256(content)}").status_code == 202
    assert server.call("GET", f"manifests/{sha256(content)}").status_code == 404
    assert server.call("GET", "manifests/v1").status_code == 404


def test_a_tag_is_deleted_without_its_manifest(server: Registry) -> None:
    content = server.image("stays")
    server.push(content, "v1")
    assert server.call("DELETE", "manifests/v1").status_code == 202
    assert server.call("GET", "manifests/v1").status_code == 404
    assert server.call("GET", f"manifests/{sha256(content)}", headers={"Accept": IMAGE}).content == content


def test_a_blob_is_deleted(server: Registry) -> None:
    digest = server.push_blob(b"gone")
    assert server.call("DELETE", f"blobs/{digest}").status_code == 202
    assert server.call("GET", f"blobs/{digest}").status_code == 404


def test_what_is_not_there_can_not_be_deleted(server: Registry) -> None:
    server.push(server.image("another"), "v1")
    assert_error(server.call("DELETE", f"manifests/{sha256(b'missing')}"), 404, "MANIFEST_UNKNOWN")
    assert_error(server.call("DELETE", f"blobs/{sha256(b'missing')}"), 404, "BLOB_UNKNOWN")


# Names


@pytest.mark.parametrize("name", ["Upper", "a//b", "a/-b", "_a", "a/b_", "a..b"])
def test_a_name_that_is_none_is_refused(server: Registry, name: str) -> None:
    answer = server.http.post(f"/v2/{name}/blobs/uploads/", follow_redirects=False)
    assert answer.status_code in (301, 400, 404)
    assert answer.status_code == 400 or server.name != "exclave"
