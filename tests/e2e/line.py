"""A TCP line between two programs that a test cuts and mends: what was connected hangs, what connects hears nothing."""

import contextlib
import socket
import threading
from collections.abc import Iterator


class Line:
    """Leads every connection to `port` of 127.0.0.1, unless it is cut."""

    def __init__(self, listener: socket.socket) -> None:
        self.port = 0
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        self._listener = listener
        self._whole = threading.Event()
        self._whole.set()
        self._connections: list[socket.socket] = []
        self._lock = threading.Lock()

    def cut(self) -> None:
        """From now on no byte gets through, and nobody is told."""
        self._whole.clear()

    def mend(self) -> None:
        """What hung is dead, as after a real cut; new connections are good."""
        with self._lock:
            for connection in self._connections:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
            self._connections.clear()
        self._whole.set()

    def serve(self) -> None:
        """Until the listener is closed."""
        with contextlib.suppress(OSError):
            while True:
                caller, _ = self._listener.accept()
                threading.Thread(target=self._lead, args=(caller,), daemon=True).start()

    def _lead(self, caller: socket.socket) -> None:
        with caller, contextlib.suppress(OSError):
            with self._lock:
                self._connections.append(caller)
            self._whole.wait()
            with socket.create_connection(("127.0.0.1", self.port)) as other:
                back = threading.Thread(target=self._pump, args=(other, caller), daemon=True)
                back.start()
                self._pump(caller, other)
                back.join()

    def _pump(self, one: socket.socket, other: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while content := one.recv(65536):
                self._whole.wait()
                other.sendall(content)
        for end in (one, other):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def line() -> Iterator[Line]:
    """A line that leads nowhere until its `port` is set."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        made = Line(listener)
        thread = threading.Thread(target=made.serve, daemon=True)
        thread.start()
        try:
            yield made
        finally:
            made.mend()
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            thread.join()
