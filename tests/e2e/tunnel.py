"""A proxy that knows one name only: whoever asks for it is led to a port of this machine, as DNS would."""

import contextlib
import selectors
import socket
import socketserver
import threading
from collections.abc import Iterator


class _Handler(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        method, target, _ = self.rfile.readline().decode().split()
        while self.rfile.readline().strip():
            pass
        name, port = self.server.leads  # type: ignore[attr-defined]
        if (method, target) != ("CONNECT", f"{name}:443"):
            self.wfile.write(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
            return
        with socket.create_connection(("127.0.0.1", port)) as other:
            self.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
            join(self.connection, other)


def join(one: socket.socket, other: socket.socket) -> None:
    with selectors.DefaultSelector() as both, contextlib.suppress(ConnectionError):
        both.register(one, selectors.EVENT_READ, other)
        both.register(other, selectors.EVENT_READ, one)
        while True:
            for key, _ in both.select():
                content = key.fileobj.recv(65536)  # type: ignore[union-attr]
                if not content:
                    return
                key.data.sendall(content)


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    leads: tuple[str, int]


@contextlib.contextmanager
def tunnel(name: str, port: int) -> Iterator[str]:
    """The proxy's address; it leads `name`, port 443, to `port` of 127.0.0.1, and nothing else anywhere."""
    with _Server(("127.0.0.1", 0), _Handler) as server:
        server.leads = (name, port)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()
