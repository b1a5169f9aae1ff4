"""OCI distribution spec 1.1 about blobs, one test for each requirement, under the spec's own headings (see `conformance`)."""

from conformance import OCTETS, Registry, assert_error, sha256, sha512

# Determining support (end-1)


def test_support_is_told_by_200(server: Registry) -> None:
    assert server.http.get("/v2/").status_code == 200


# Pulling blobs (end-2, end-10)


def test_a_blob_is_pulled_with_its_digest(server: Registry) -> None:
    digest = server.push_blob(b"content")
    answer = server.call("GET", f"blobs/{digest}")
    assert (answer.status_code, answer.content) == (200, b"content")
    assert answer.headers.get("docker-content-digest", digest) == digest


def test_a_blob_is_asked_for_by_head(server: Registry) -> None:
    answer = server.call("HEAD", f"blobs/{server.push_blob(b'content')}")
    assert (answer.status_code, answer.headers["content-length"], answer.content) == (200, "7", b"")


def test_a_missing_blob_is_404(server: Registry) -> None:
    server.push_blob(b"another")
    assert_error(server.call("GET", f"blobs/{sha256(b'missing')}"), 404, "BLOB_UNKNOWN")
    assert server.call("HEAD", f"blobs/{sha256(b'missing')}").status_code == 404


def test_a_part_of_a_blob_is_206(server: Registry) -> None:
    digest = server.push_blob(b"0123456789")
    answer = server.call("GET", f"blobs/{digest}", headers={"Range": "bytes=2-4"})
    assert (answer.status_code, answer.content, answer.headers["content-range"]) == (206, b"234", "bytes 2-4/10")
    rest = server.call("GET", f"blobs/{digest}", headers={"Range": "bytes=7-"})
    assert (rest.status_code, rest.content) == (206, b"789")


def test_a_part_outside_of_a_blob_is_416(server: Registry) -> None:
    answer = server.call("GET", f"blobs/{server.push_blob(b'0123')}", headers={"Range": "bytes=4-"})
    assert answer.status_code == 416


# Pushing a blob monolithically (end-4a, end-4b, end-6)


def test_a_blob_is_pushed_by_post_and_put(server: Registry) -> None:
    answer = server.end(server.start(), sha256(b"content"), b"content")
    assert answer.status_code == 201
    assert server.http.get(server.location(answer)).content == b"content"


def test_a_blob_is_pushed_by_one_post_or_an_upload_begins(server: Registry) -> None:
    digest = sha256(b"at once")
    answer = server.call("POST", f"blobs/uploads/?digest={digest}", content=b"at once", headers=OCTETS)
    assert answer.status_code in (201, 202)
    assert answer.status_code == 201 or server.name != "exclave"
    ended = answer if answer.status_code == 201 else server.end(server.location(answer), digest, b"at once")
    assert server.http.get(server.location(ended)).content == b"at once"


def test_a_blob_of_other_content_is_refused(server: Registry) -> None:
    assert_error(server.end(server.start(), sha256(b"right"), b"wrong"), 400, "DIGEST_INVALID")
    assert server.call("HEAD", f"blobs/{sha256(b'right')}").status_code == 404
    assert server.call("HEAD", f"blobs/{sha256(b'wrong')}").status_code == 404


def test_a_blob_of_no_bytes_is_a_blob(server: Registry) -> None:
    assert server.end(server.start(), sha256(b"")).status_code == 201
    assert server.call("GET", f"blobs/{sha256(b'')}").content == b""


def test_a_digest_that_is_none_is_refused(server: Registry) -> None:
    assert_error(server.end(server.start(), "sha256:short", b"content"), 400, "DIGEST_INVALID")


def test_a_blob_that_is_there_may_be_pushed_again(server: Registry) -> None:
    assert server.push_blob(b"twice") == server.push_blob(b"twice")


def test_a_blob_has_the_digest_algorithm_that_it_is_pushed_with(server: Registry) -> None:
    answer = server.end(server.start(), sha512(b"content"), b"content")
    assert answer.status_code == 201
    assert server.call("GET", f"blobs/{sha512(b'content')}").content == b"content"
    assert_error(server.end(server.start(), sha512(b"right"), b"wrong"), 400, "DIGEST_INVALID")


# Pushing a blob in chunks (end-4a, end-5, end-6, end-13)


def test_a_blob_is_pushed_in_chunks(server: Registry) -> None:
    location, content = server.start(), b"hello world"
    for begin, end in ((0, 6), (6, 9)):
        chunk = content[begin:end]
        headers = {**OCTETS, "Content-Range": f"{begin}-{end - 1}"}
        answer = server.http.patch(location, content=chunk, headers=headers)
        assert (answer.status_code, answer.headers["range"]) == (202, f"0-{end - 1}")
        location = server.location(answer)
    ended = server.end(location, sha256(content), content[9:], **{"Content-Range": "9-10"})
    assert ended.status_code == 201
    assert server.http.get(server.location(ended)).content == content


def test_a_chunk_out_of_order_is_416(server: Registry) -> None:
    answer = server.http.patch(server.start(), content=b"hello", headers={**OCTETS, "Content-Range": "0-4"})
    location = server.location(answer)
    for declared in ("0-4", "9-13"):
        refused = server.http.patch(location, content=b"world", headers={**OCTETS, "Content-Range": declared})
        assert refused.status_code == 416
    assert server.end(location, sha256(b"hello")).status_code == 201


def test_how_far_an_upload_is_can_be_asked(server: Registry) -> None:
    answer = server.http.patch(server.start(), content=b"hello", headers=OCTETS)
    status = server.http.get(server.location(answer))
    assert (status.status_code, status.headers["range"]) == (204, "0-4")
    assert "location" in status.headers


def test_an_upload_that_is_cancelled_is_gone(server: Registry) -> None:
    location = server.start()
    assert server.http.delete(location).status_code == 204
    assert_error(server.http.get(location), 404, "BLOB_UPLOAD_UNKNOWN")


def test_an_upload_is_streamed_without_a_length(server: Registry) -> None:
    answer = server.http.patch(server.start(), content=iter([b"one ", b"two"]), headers=OCTETS)
    assert answer.status_code == 202
    assert server.end(server.location(answer), sha256(b"one two")).status_code == 201


# Mounting a blob from another repository (end-11)


def test_a_blob_is_mounted_from_another_repository(server: Registry) -> None:
    digest = server.push_blob(b"mounted", server.other)
    answer = server.call("POST", f"blobs/uploads/?mount={digest}&from={server.other}")
    assert answer.status_code == 201
    assert server.http.get(server.location(answer)).content == b"mounted"


def test_a_mount_of_what_is_not_there_begins_an_upload(server: Registry) -> None:
    answer = server.call("POST", f"blobs/uploads/?mount={sha256(b'nowhere')}&from={server.other}")
    assert answer.status_code == 202
    assert server.end(server.location(answer), sha256(b"nowhere"), b"nowhere").status_code == 201


def test_a_mount_without_from_finds_the_blob_or_begins_an_upload(server: Registry) -> None:
    digest = server.push_blob(b"somewhere", server.other)
    answer = server.call("POST", f"blobs/uploads/?mount={digest}")
    assert answer.status_code == (201 if server.name == "exclave" else 202)
    if answer.status_code == 201:
        assert server.http.get(server.location(answer)).content == b"somewhere"
