"""What an agent knows of its own updates, also while none is under way."""

import logging
from dataclasses import dataclass

from agent.ledger.ledger import Ledger
from agent.update import state
from agent.update.state import StateUnreadableError
from agent.update.supervised import Supervised
from agent.update.versions import Versions
from api.contract.base import Json

log = logging.getLogger(__name__)

_WINDOW_SECONDS = 30.0
"""How often it is looked whether the customer's window has opened: the policy may have been changed, too."""


@dataclass(frozen=True)
class Updates:
    """What an agent knows of its own updates; `supervised` is None where it has no supervisor.

    `window_seconds` is how often an update that waits for the customer's window looks whether it has opened.
    """

    versions: Versions
    supervised: Supervised | None = None
    window_seconds: float = _WINDOW_SECONDS


def note_end(versions: Versions, ledger: Ledger) -> None:
    """Write down, once, how the last update ended: the supervisor, which decided it, has no ledger. Blocks."""
    try:
        last = versions.read().last
        if last and not last.noted:
            told = {"job": last.job, "version": last.version, "digest": last.digest, "reason": last.reason}
            said: dict[str, Json] = {name: value for name, value in told.items() if value}
            ledger.append("update.ended", outcome=last.outcome, **said)
            versions.change(state.noted)
    except StateUnreadableError as error:
        log.error("%s can't be read, and no update is tried: %s", versions.folder / "state.json", error)
