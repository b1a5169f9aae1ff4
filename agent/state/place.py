"""Where an agent keeps states: what --state and --state-key say, remembered in its home.

`home` (a folder of the agent's home), a folder, `s3://BUCKET[/PREFIX][?region=…&endpoint=…]`, `gs://BUCKET[/PREFIX]`; or
`backend:FILE`, a backend of Terraform's own (see `agent.state.backend`).
<home>/state.json remembers it, so that an agent that is started without it, or `exclave agent state`, finds them again.
"""

import re
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from agent.durable import write_durably
from agent.failure import CodedError
from agent.state.folder import FolderStore
from agent.state.keys import FILE, Keyring
from agent.state.states import KEPT_VERSIONS, States
from agent.state.store import Store
from api.contract.base import Model

HOME = "home"
BACKEND = "backend:"
_BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,220}")


class StatePlaceError(CodedError):
    """What --state says can't be used."""

    code = "state_place_invalid"
    remedy = "Write home, a folder, s3://BUCKET/PREFIX?region=…, gs://BUCKET/PREFIX, or backend:FILE."


class Place(Model):
    """Where states are, and which key seals them."""

    state: str = HOME
    key: str = FILE

    @property
    def backend(self) -> Path | None:
        """The file of a backend of Terraform's own, if that is where they are."""
        return Path(self.state.removeprefix(BACKEND)).absolute() if self.state.startswith(BACKEND) else None


def remembered(home: Path) -> Place | None:
    """What an earlier start said."""
    try:
        return Place.model_validate_json((home / "state.json").read_bytes())
    except FileNotFoundError:
        return None


def remember(home: Path, place: Place) -> None:
    """Keep it for later starts."""
    if remembered(home) != place:
        write_durably(home / "state.json", place.model_dump_json(indent=2).encode())


def chosen(home: Path, install_id: str, agent: str, state: str | None, key: str | None) -> Place:
    """What the agent uses: what is given, else what is remembered, else the home. It is remembered from here on.

    Blocks. Raises StatePlaceError if states lie where an earlier start put them: an agent that doesn't find its states makes
    everything a second time.
    """
    before = remembered(home) or Place()
    place = Place(state=state or before.state, key=key or before.key)
    if place.state != before.state and before.backend is not None:
        raise StatePlaceError(
            f"--state {place.state} isn't where this agent keeps states: they are in the backend of {before.backend}",
            remedy="Destroy what this agent has deployed, or move each state by hand: docs/how-to/keep-terraform-state.md.",
        )
    if place.state != before.state and (left := open_states(before, home, install_id, agent).components()):
        raise StatePlaceError(
            f"--state {place.state} isn't where this agent keeps states: those of {', '.join(left)} are in {before.state}",
            remedy=f"Move them, with the agent stopped: exclave agent state move --home {home} --to {place.state}",
        )
    remember(home, place)
    return place


def open_states(place: Place, home: Path, install_id: str, agent: str, *, kept: int = KEPT_VERSIONS) -> States:
    """The states of an install. Raises StatePlaceError, StateUnreachableError or StateKeyError."""
    if place.backend is not None:
        raise StatePlaceError(
            f"states are in the backend of {place.backend}, which only Terraform knows", remedy="Use the backend's own tools."
        )
    return States(open_store(place.state, home), Keyring(home, place.key), install_id, agent, kept)


def open_store(text: str, home: Path) -> Store:
    """The store that --state names."""
    if text == HOME:
        return FolderStore(home / "states")
    parts = urlsplit(text)
    options = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    prefix = f"{parts.path.strip('/')}/" if parts.path.strip("/") else ""
    match parts.scheme:
        case "s3" | "gs" if not _BUCKET.fullmatch(parts.netloc):
            raise StatePlaceError(f"--state {text}: {parts.netloc!r} can't be a bucket")
        case "s3":
            _only(text, options, {"region", "endpoint"})
            from agent.state import s3

            return s3.connect(text, parts.netloc, prefix, endpoint=options.get("endpoint"), region=options.get("region"))
        case "gs":
            _only(text, options, {"endpoint"})
            from agent.state import gcs

            return gcs.connect(text, parts.netloc, prefix, endpoint=options.get("endpoint"))
        case "file" if not parts.netloc and not parts.query:
            return FolderStore(Path(parts.path), remote=True)
        case "" if Path(text).is_absolute():
            return FolderStore(Path(text), remote=True)
    raise StatePlaceError(f"--state {text!r} isn't understood")


def _only(text: str, options: dict[str, str], known: set[str]) -> None:
    unknown = sorted(set(options) - known)
    if unknown:
        raise StatePlaceError(f"--state {text}: {', '.join(unknown)} isn't known; there is: {', '.join(sorted(known))}")
