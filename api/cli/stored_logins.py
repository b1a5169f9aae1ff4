"""Where `exclave login` keeps its tokens: one file for each IMS, mode 0600, in the user's own configuration folder."""

import hashlib
import os
from pathlib import Path


def _file(url: str) -> Path:
    folder = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "exclave" / "logins"
    return folder / hashlib.sha256(url.rstrip("/").encode()).hexdigest()[:32]


def stored_login(url: str) -> str | None:
    """The token of the last login to this IMS."""
    try:
        return _file(url).read_text().strip() or None
    except (OSError, ValueError):
        return None


def store_login(url: str, secret: str) -> Path:
    """Keep a token. Raises OSError."""
    file = _file(url)
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    aside = file.with_suffix(".new")
    aside.unlink(missing_ok=True)
    handle = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w") as stream:
        stream.write(secret + "\n")
    aside.replace(file)
    return file


def drop_login(url: str) -> bool:
    """Forget a token; False if there was none."""
    try:
        _file(url).unlink()
    except FileNotFoundError:
        return False
    return True
