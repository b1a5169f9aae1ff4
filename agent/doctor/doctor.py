"""All checks of one agent, and how their answer looks."""

import asyncio
import os
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

from agent.doctor import cloud, cluster, machine, network, registry, state
from agent.doctor.check import Check, Finding, Report, UnawaitedThreads, run_checks, skipped
from agent.install.registries import EcrWriter, GarWriter, RegistryWriter, read_writer
from agent.kubernetes.access import ClusterSettings


@dataclass(frozen=True)
class Patient:
    """What the agent is, or will be, started with. Whatever is None is skipped."""

    url: str | None = None
    home: Path | None = None
    registry_credentials: Path | None = None
    engine: str | None = None
    kubeconfig: Path | None = None
    kube_context: str | None = None
    state: str | None = None


def examine(patient: Patient, limit: float) -> Report:
    """Run all checks, for `limit` seconds at most. Changes nothing that lasts, but that a running agent signs in anew."""
    return _in_loop(_examined(patient, limit))


def _in_loop(work: Coroutine[Any, Any, Report]) -> Report:
    # Not asyncio.run, which waits for threads at the end.
    loop = asyncio.new_event_loop()
    loop.set_default_executor(UnawaitedThreads())
    try:
        return loop.run_until_complete(work)
    finally:
        loop.close()


async def _examined(patient: Patient, limit: float) -> Report:
    findings = await run_checks(_checks(patient), limit)
    passed = all(finding.status != "FAILED" for finding in findings)
    return Report(checked_at=datetime.now(UTC), passed=passed, findings=findings)


def _checks(patient: Patient) -> list[Check]:
    env, folder = os.environ, patient.home
    url = httpx.URL(patient.url) if patient.url else None
    settings = ClusterSettings.given(patient.kubeconfig, patient.kube_context, env)
    writer: RegistryWriter | EcrWriter | GarWriter | None = None
    if patient.registry_credentials:
        with suppress(OSError, ValueError):  # the check of the registry says what is wrong with it
            writer = read_writer(patient.registry_credentials)
    return [
        Check("home", lambda: machine.home(folder) if folder else _skip("home", "no --home was given")),
        Check("disk", lambda: machine.disk(folder or Path.cwd())),
        Check("memory", machine.room_in_memory),
        Check("engine", lambda: machine.engine(patient.engine, env)),
        Check("program", lambda: machine.programs(env)),
        Check("authorities", network.authorities),
        Check("proxy", lambda: network.proxy(url)),
        Check("ims", lambda: network.ImsCheck(url, folder).look() if url else _skip("ims", "no --url was given")),
        Check("registry", lambda: registry.registry(patient.registry_credentials)),
        Check("state", lambda: state.state(folder, patient.state, patient.engine, env)),
        Check("cluster", lambda: cluster.cluster(settings)),
        Check("cloud.aws", lambda: cloud.aws(env, writer)),
        Check("cloud.google", lambda: cloud.google(env, writer)),
    ]


async def _skip(name: str, why: str) -> Any:
    yield skipped(name, why)


def as_text(report: Report) -> str:
    """A line for each finding, and below it what to do."""
    width = max(len(finding.check) for finding in report.findings)
    lines = [line for finding in report.findings for line in _lines(finding, width)]
    count = sum(finding.status == "FAILED" for finding in report.findings)
    lines.append("Nothing failed." if report.passed else f"{count} of {len(report.findings)} checks failed.")
    return "\n".join(lines)


def _lines(finding: Finding, width: int) -> list[str]:
    first = f"{finding.status:7}  {finding.check:{width}}  {finding.detail}"
    return [first, f"{'':7}  {'':{width}}  -> {finding.remedy}"] if finding.status == "FAILED" else [first]
