"""A fake of Google Cloud Storage's JSON API, as its documentation describes it: objects, generations, preconditions, pages.

https://cloud.google.com/storage/docs/json_api/v1/objects. No emulator of it can be had here.
"""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

PAGE = 2


class Bucket:
    """The objects of one bucket, each with its generation."""

    def __init__(self) -> None:
        self.objects: dict[str, tuple[bytes, int]] = {}
        self.lock = threading.Lock()
        self.generation = 1_700_000_000_000_000
        self.refuse: tuple[int, str] | None = None


@contextmanager
def fake_gcs() -> Iterator[tuple[str, Bucket]]:
    """A server with the bucket `states`. Yields its address and the bucket."""
    bucket = Bucket()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def _answer(self, status: int, body: bytes = b"", **headers: str) -> None:
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()
            self.wfile.write(body)

        def _json(self, status: int, document: object) -> None:
            self._answer(status, json.dumps(document).encode(), Content_Type="application/json")

        def _refused(self) -> bool:
            if bucket.refuse:
                status, message = bucket.refuse
                self._json(status, {"error": {"code": status, "message": message}})
            return bucket.refuse is not None

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            if self._refused():
                return None
            with bucket.lock:
                if parts.path == "/storage/v1/b/states/o":
                    names = sorted(name for name in bucket.objects if name.startswith(query.get("prefix", "")))
                    start = int(query.get("pageToken", "0"))
                    more = {"nextPageToken": str(start + PAGE)} if start + PAGE < len(names) else {}
                    items = {"items": [{"name": name} for name in names[start : start + PAGE]]} if names else {}
                    return self._json(200, {**items, **more})
                found = bucket.objects.get(unquote(parts.path.removeprefix("/storage/v1/b/states/o/")))
            if found is None or query.get("alt") != "media":
                return self._answer(404, b"No such object")
            return self._answer(200, found[0], x_goog_generation=str(found[1]))

        def do_POST(self) -> None:
            data = self.rfile.read(int(self.headers["Content-Length"]))
            parts = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            if self._refused():
                return None
            assert parts.path == "/upload/storage/v1/b/states/o"
            assert query["uploadType"] == "media"
            with bucket.lock:
                _, generation = bucket.objects.get(query["name"], (b"", 0))
                if query.get("ifGenerationMatch", str(generation)) != str(generation):
                    error = {"code": 412, "message": "At least one of the pre-conditions you specified did not hold."}
                    return self._json(412, {"error": error})
                bucket.generation += 1
                bucket.objects[query["name"]] = (data, bucket.generation)
                return self._json(200, {"name": query["name"], "generation": str(bucket.generation)})

        def do_DELETE(self) -> None:
            if self._refused():
                return
            with bucket.lock:
                gone = bucket.objects.pop(unquote(urlsplit(self.path).path.removeprefix("/storage/v1/b/states/o/")), None)
            self._answer(404 if gone is None else 204)

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        serving = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        serving.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", bucket
        finally:
            server.shutdown()
            serving.join()
