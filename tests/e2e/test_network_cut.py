"""`closure`, seen from outside: the demo passes in a network namespace that has nothing but loopback."""

import os
import shutil
import subprocess
import sys

import pytest
from stage import ROOT

LOOPBACK_UP = """
import fcntl, os, socket, struct, sys
with socket.socket() as probe:
    IFF_UP, SIOCSIFFLAGS = 1, 0x8914  # linux/if.h, linux/sockios.h
    fcntl.ioctl(probe, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP))
os.execv(sys.argv[1], sys.argv[1:])
"""


def in_empty_network(*command: str) -> list[str]:
    """The command in a new network namespace with loopback alone; as an ordinary user, through a user namespace."""
    flags = "-n" if os.geteuid() == 0 else "-rn"
    return ["unshare", flags, sys.executable, "-c", LOOPBACK_UP, *command]


def works() -> bool:
    """Whether this machine allows a network namespace."""
    if not shutil.which("unshare"):
        return False
    return subprocess.run(in_empty_network("/bin/true"), capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(not works(), reason="this machine allows no network namespace (unshare -n)")
def test_the_demo_passes_with_the_network_cut_to_loopback() -> None:
    reach = "import socket; socket.create_connection(('192.0.2.1', 80), timeout=5)"
    cut = subprocess.run(in_empty_network(sys.executable, "-c", reach), capture_output=True, text=True, check=False)
    assert "unreachable" in cut.stderr, "the namespace isn't cut off"
    demo = in_empty_network(sys.executable, str(ROOT / "scripts" / "demo.py"))
    done = subprocess.run(demo, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Destroy complete!" in done.stdout
