"""An IMS that speaks https itself: what it refuses. (That it does: tests/e2e/test_getting_the_provider.py.)"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from api.settings import Settings

_CLEAN = {name: value for name, value in os.environ.items() if not name.startswith("EXCLAVE_")}


def refused(*options: str) -> str:
    """What `exclave up` says before it ends."""
    command = [sys.executable, "-m", "api.cli", "up", "--no-build-agent", "--port", "0", *options]
    done = subprocess.run(command, capture_output=True, text=True, env=_CLEAN, timeout=120)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    return done.stderr


def test_a_certificate_without_its_key_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="tls_certificate and tls_key go together"):
        Settings(tmp_path, "https://ims.test", tls_certificate=tmp_path / "server.pem")


def test_a_certificate_that_cannot_be_used_is_refused_before_anything_is_served(tmp_path: Path) -> None:
    (tmp_path / "server.pem").write_text("nothing")
    files = ("--tls-certificate", f"{tmp_path}/server.pem", "--tls-key", f"{tmp_path}/server.key")
    assert "tls_certificate and tls_key can't be used" in refused("--data", str(tmp_path / "ims"), *files)
