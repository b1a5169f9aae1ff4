"""What both kinds of agent are told on the command line."""

from pathlib import Path
from typing import TypedDict


class AgentOptions(TypedDict):
    """The options that both kinds of agent share."""

    url: str
    token: str | None
    token_file: Path | None
    home: Path
    name: str | None
    engine: str | None
    slots: int
    once: bool
    rotate_key_days: float
    stop_with_stdin: bool
    ca_file: Path | None
