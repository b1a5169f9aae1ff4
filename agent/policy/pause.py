"""The kill switch: while the file `paused` is in the agent's home, no job begins. What runs goes on to its end."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pydantic import ValidationError

from agent.durable import flush_folder, write_durably
from api.contract.base import Model

FILE_NAME = "paused"


class Paused(Model):
    """Who has paused the agent, when and why. All of it may be missing: the file's being there is what counts."""

    by: str = ""
    since: datetime | None = None
    reason: str = ""

    def __str__(self) -> str:
        since = f" since {self.since:%Y-%m-%d %H:%M:%SZ}" if self.since else ""
        return f"paused{since}" + (f": {self.reason}" if self.reason else "")


@dataclass(frozen=True)
class KillSwitch:
    """The switch of the agent whose folder is `home`, which may be running."""

    home: Path

    def state(self) -> Paused | None:
        """None unless the agent is paused."""
        file = self.home / FILE_NAME
        try:
            return Paused.model_validate_json(file.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValidationError):
            return Paused()  # `touch paused` does as well

    def pause(self, paused: Paused) -> None:
        """From now on nothing new begins."""
        write_durably(self.home / FILE_NAME, paused.model_dump_json().encode())

    def resume(self) -> bool:
        """Let jobs begin again; False if the agent wasn't paused."""
        try:
            (self.home / FILE_NAME).unlink()
        except FileNotFoundError:
            return False
        flush_folder(self.home)
        return True
