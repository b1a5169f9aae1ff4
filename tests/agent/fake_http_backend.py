"""What Terraform's `http` backend talks to, as its documentation describes it: state by path, with locks."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class States:
    """What the server has. With `down`, it refuses every write."""

    def __init__(self) -> None:
        self.states: dict[str, bytes] = {}
        self.locks: dict[str, bytes] = {}
        self.down = False


@contextmanager
def fake_http_backend() -> Iterator[tuple[str, States]]:
    """A server on loopback. Yields its address, and what it has."""
    kept = States()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def _answer(self, status: int, body: bytes = b"") -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def _body(self) -> bytes:
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))

        def do_GET(self) -> None:
            found = kept.states.get(self.path.split("?")[0])
            self._answer(404 if found is None else 200, found or b"")

        def do_POST(self) -> None:
            body = self._body()
            if not kept.down:
                kept.states[self.path.split("?")[0]] = body
            self._answer(500 if kept.down else 200)

        def do_LOCK(self) -> None:
            body = self._body()
            holder = kept.locks.setdefault(self.path, body)
            self._answer(200 if holder == body else 423, holder)

        def do_UNLOCK(self) -> None:
            body = self._body()  # empty for force-unlock, which names no lock
            holder = kept.locks.get(self.path)
            if holder and body and json.loads(body)["ID"] != json.loads(holder)["ID"]:
                return self._answer(409, holder)
            kept.locks.pop(self.path, None)
            return self._answer(200)

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        serving = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        serving.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", kept
        finally:
            server.shutdown()
            serving.join()
