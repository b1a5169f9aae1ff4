"""A port for a program that can't be asked which one it got: the test chooses, lets go, and the program takes it."""

import secrets
import socket

_LOWEST, _COUNT = 20_000, 12_000
"""Below what systems give to those who ask for any port, and to connections: nobody gets this one by chance meanwhile."""


def free_port() -> int:
    """A port of the loopback that nobody listens on."""
    while True:
        port = _LOWEST + secrets.randbelow(_COUNT)
        try:
            with socket.create_server(("127.0.0.1", port)):
                return port
        except OSError:
            continue
