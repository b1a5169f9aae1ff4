"""How a component is, once it is deployed: what its deployer knows, and what the vendor's probes find."""

from collections.abc import Mapping
from dataclasses import replace

from agent.cancellation import JobCancelledError, unless_cancelled
from agent.failure import JobFailedError
from agent.install.deployer import Task
from agent.install.inputs import resolve_inputs
from agent.probes.run import run_probes
from api.contract.component_health import ComponentHealth, HealthCheck, checked, health_of
from api.contract.components import probes_of
from api.contract.probes import Probe, probe_texts


async def look(task: Task) -> ComponentHealth | None:
    """The component's health; None if nothing looks at it. Never fails: what can't be looked at is `unknown`."""
    probes = probes_of(task.job.config)
    found = await _probed(task, probes) if probes else []
    for check in found:
        task.context.log(f"{check.name} is {check.status}" + (f": {check.reason}" if check.reason else ""))
    redact = task.context.redactor.text
    own = [checked(redact(check.name), check.kind, check.status, redact(check.reason)) for check in task.checks]
    return health_of([*own, *found])


async def _probed(task: Task, probes: Mapping[str, Probe]) -> list[HealthCheck]:
    context, site = task.context, task.site
    try:
        resolved = task.resolved or await resolve_inputs(task.job, context, site, probe_texts(probes))
        render = replace(task, resolved=resolved).scope.render
        running = run_probes(probes, render, context.redactor.text, site.http)
        return await unless_cancelled(running, context.cancellation)
    except JobCancelledError:
        why = "the job was cancelled before it was looked at"
    except JobFailedError as error:
        why = context.redactor.text(error.failure.message)
    return [checked(f"probe.{name}", "http" if probe.http else "tcp", "unknown", why) for name, probe in probes.items()]
