"""The customer's registry: the agent pushes a blob, pulls it back, and takes it away."""

from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path

from agent.doctor.check import Finding, failed, passed, skipped
from agent.failure import CodedError
from agent.install.registries import CustomerRegistry, cloud_of, read_writer
from agent.oci.digest import digest_of
from agent.oci.retry import RetryPolicy
from agent.outbound import OutboundError, outbound_client

REPOSITORY = "exclave-doctor"
PROBE = bytes(range(256)) * 8192
"""2 MiB: more than what a proxy that limits bodies lets pass by default. Always the same, so never more than one blob."""
_NAMES = ("registry.login", "registry.push", "registry.pull")


async def registry(credentials: Path | None) -> AsyncIterator[Finding]:
    """What the agent does at each sync, with one blob."""
    if credentials is None:
        for name in _NAMES:
            yield skipped(name, "no --registry-credentials were given")
        return
    found: list[Finding] = []
    try:
        async for finding in _round_trip(credentials):
            found.append(finding)
            yield finding
    except CodedError as error:
        finding = failed(_NAMES[len(found)], str(error), error.failure.remedy or "Check the registry and the credentials.")
        yield finding
        found.append(finding)
    for name in _NAMES[len(found) :]:
        yield skipped(name, f"not known before {_NAMES[len(found) - 1]} works")


async def _round_trip(credentials: Path) -> AsyncIterator[Finding]:
    login, push, pull = _NAMES
    try:
        writer = read_writer(credentials)
        http = outbound_client(timeout=60)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it isn't such a file"
        remedy = "Give the writer.json of `exclave registry`, or a file that names your cloud's registry."
        yield failed(login, f"--registry-credentials {credentials} can't be read: {reason}", remedy)
        return
    except OutboundError as error:
        yield failed(login, str(error), "Correct the proxy or the authorities first.")
        return
    async with http:
        customer = CustomerRegistry(writer, http, cloud_of(writer))
        repository, digest = customer.repository(REPOSITORY), digest_of(PROBE)
        client = await customer.client(RetryPolicy(tries=1))
        await customer.make_ready(REPOSITORY)
        client.will_push(repository)
        await client.manifest_digest(repository, "none")
        yield passed(login, f"{writer.url} takes the credentials")
        await client.put_blob(repository, digest, len(PROBE), _probe)
        yield passed(push, f"{len(PROBE) >> 20} MiB went to {repository}")
        await client.read_blob(repository, digest, len(PROBE))
        gone = await client.delete_blob(repository, digest)
        yield passed(pull, "they came back whole" + ("" if gone else "; they stay until the registry collects its garbage"))


async def _probe() -> AsyncGenerator[bytes, None]:
    yield PROBE
