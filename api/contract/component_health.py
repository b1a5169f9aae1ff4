"""A component's health: one type for what Terraform's checks, Kubernetes, Helm and the vendor's own probes say of it.

The agent looks after each apply and in each drift run, and reports names and reasons, never a value that is sensitive.
"""

from collections.abc import Iterable, Sequence
from typing import Literal

from pydantic import Field

from api.contract.base import Model

HealthStatus = Literal["healthy", "degraded", "unknown"]
CheckKind = Literal["terraform_check", "workload", "release", "http", "tcp"]

MAX_CHECKS = 100
"""So many checks are reported of one component: those that aren't healthy before all others."""
MAX_REASON = 500

_WORST: tuple[HealthStatus, ...] = ("degraded", "unknown", "healthy")


class HealthCheck(Model):
    """One thing that was looked at."""

    name: str = Field(max_length=255, description="What was looked at: `check.certificate`, `deployment/web`, `probe.api`.")
    kind: CheckKind = Field(description="How it was looked at.")
    status: HealthStatus = Field(description="`unknown`: it could not be looked at.")
    reason: str = Field(default="", max_length=MAX_REASON, description="In plain words; may be empty where it is healthy.")


class ComponentHealth(Model):
    """What all checks of one component say together: `degraded` if one is, else `unknown` if one is, else `healthy`."""

    status: HealthStatus = Field(description="`healthy`, `degraded` or `unknown`.")
    reason: str = Field(default="", max_length=MAX_REASON, description="In plain words, what isn't healthy.")
    checks: list[HealthCheck] = Field(default_factory=list, max_length=MAX_CHECKS, description="What was looked at.")


def checked(name: str, kind: CheckKind, status: HealthStatus, reason: str = "") -> HealthCheck:
    """A check with its texts cut to what may be reported.

    A text that may hold a secret is redacted before: what is left of a secret that was cut isn't found any more.
    """
    return HealthCheck(name=cut(name, 255), kind=kind, status=status, reason=cut(reason, MAX_REASON))


def health_of(checks: Iterable[HealthCheck]) -> ComponentHealth | None:
    """What the checks say together; None if there are none, which says nothing of the component's health."""
    found: Sequence[HealthCheck] = sorted(checks, key=lambda check: _WORST.index(check.status))
    if not found:
        return None
    worst = [check for check in found if check.status == found[0].status != "healthy"]
    reason = "; ".join(f"{check.name}: {check.reason}" if check.reason else check.name for check in worst)
    return ComponentHealth(status=found[0].status, reason=cut(reason, MAX_REASON), checks=list(found[:MAX_CHECKS]))


def cut(text: str, limit: int) -> str:
    """`text`, or as much of it as fits, with `…` at its end."""
    return text if len(text) <= limit else text[: limit - 1] + "…"
