"""Run a component's probes, side by side, each until it is well or has been tried often enough."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

import httpx

from agent.probes.look import look_http, look_tcp
from api.contract.base import Json
from api.contract.component_health import CheckKind, HealthCheck, checked
from api.contract.probes import Probe
from api.contract.references import InvalidReferenceError

Pause = Callable[[float], Awaitable[None]]


async def run_probes(
    probes: Mapping[str, Probe],
    render: Callable[[str], Json],
    redact: Callable[[str], str],
    http: httpx.AsyncClient,
    pause: Pause = asyncio.sleep,
) -> list[HealthCheck]:
    """What each probe found, in the order of their names. `render` fills in references; it raises InvalidReferenceError."""
    running = [_run(name, probe, render, redact, http, pause) for name, probe in sorted(probes.items())]
    return list(await asyncio.gather(*running))


async def _run(
    name: str,
    probe: Probe,
    render: Callable[[str], Json],
    redact: Callable[[str], str],
    http: httpx.AsyncClient,
    pause: Pause,
) -> HealthCheck:
    kind: CheckKind = "http" if probe.http else "tcp"
    try:
        target = str(render(probe.http or probe.tcp or ""))
    except InvalidReferenceError as error:
        return checked(f"probe.{name}", kind, "unknown", redact(str(error)))
    wrong = ""
    for attempt in range(probe.attempts):
        if attempt:
            await pause(probe.interval_seconds)
        if kind == "http":
            wrong = await look_http(http, target, probe.status, probe.timeout_seconds)
        else:
            wrong = await look_tcp(target, probe.timeout_seconds)
        if not wrong:
            return checked(f"probe.{name}", kind, "healthy")
    tried = f", {probe.attempts} times" if probe.attempts > 1 else ""
    return checked(f"probe.{name}", kind, "degraded", redact(wrong) + tried)
