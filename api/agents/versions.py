"""Which agents this IMS speaks with: its own minor version and the two before it."""

import re
from importlib.metadata import version

from api.contract.problems import UpgradeRequiredError

_MINORS_BACK = 2


def check_agent_version(agent: str, server: str | None = None) -> None:
    """Raises UpgradeRequiredError for an agent that is too old. One whose version says nothing is let in."""
    ours, theirs = (_major_minor(text) for text in (server or version("exclave"), agent))
    if ours is None or theirs is None:
        return
    oldest = (ours[0], max(0, ours[1] - _MINORS_BACK))
    if theirs < oldest:
        need = f"{oldest[0]}.{oldest[1]}"
        raise UpgradeRequiredError(
            f"the agent is of version {agent}; this IMS speaks with {need} and newer",
            remedy=f"Install Exclave {need} or newer.",
        )


def _major_minor(text: str) -> tuple[int, int] | None:
    match = re.match(r"(\d{1,6})\.(\d{1,6})", text)
    return (int(match[1]), int(match[2])) if match else None
