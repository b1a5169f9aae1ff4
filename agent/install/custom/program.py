"""Fetch a custom component out of the customer's registry, and make a plugin of it that runs in the sandbox."""

import asyncio
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from agent.artifact.manifest import CUSTOM_ARTIFACT, CUSTOM_CONFIG, CUSTOM_SOURCE_TYPE, CustomArtifactConfig
from agent.bundle.zip import extract_zip
from agent.failure import CodedError
from agent.install.custom.command import CommandPlugin
from agent.install.deployer import Task
from agent.oci.client import RegistryClient
from agent.oci.digest import hex_of
from agent.oci.download import download_blob
from agent.oci.manifest import MANIFEST_BYTES
from agent.oci.signature import verify
from agent.plugin.entry_point import find_entry_point
from agent.plugin.executable import ExecutablePlugin
from agent.plugin.protocol import Plugin, program_of
from agent.sandbox.sandbox import PATH, SANDBOX, PlainSandbox

NETWORK = "EXCLAVE_PLUGIN_NETWORK"

_CONFIG = "config.json"
_SOURCE = "source"
_SHOWN = "plugin"


class NotCustomError(CodedError):
    """The artifact isn't a custom component, or one of a version that this agent doesn't know."""

    code = "not_a_custom_component"
    remedy = "Build the component again; if that doesn't help, bring this agent to the build agent's version."


@dataclass(frozen=True)
class Program:
    """What was built, on this machine. `images` maps what the plugin names to where the customer's registry has it."""

    source: Path
    config: CustomArtifactConfig
    digest: str
    images: Mapping[str, str]

    def plugin(self, task: Task, seconds: float) -> Plugin:
        """Who answers: a package beside the agent, or a program in the sandbox, for at most `seconds` each time."""
        command, log = self.config.command, task.context.log
        if self.config.interface == "python":
            return find_entry_point(command[0])
        plain = program_of(command, self.source)  # it mustn't leave its folder
        sandbox = self.sandbox(task)
        argv, folder = (plain, self.source) if sandbox is None else (sandbox.argv(command), Path("/"))
        env_of = _plain_env if sandbox is None else sandbox.env
        if self.config.interface == "command":
            return CommandPlugin(argv, folder, env_of, log, seconds, self.digest)
        return ExecutablePlugin(argv, folder, env_of({}), log, seconds)

    def sandbox(self, task: Task) -> PlainSandbox | None:
        """Where it runs; None where the customer has said that it needs none: beside the agent, or as the agent's user."""
        if self.config.interface == "python" or task.site.env.get(SANDBOX) == "off":
            return None
        hidden = [task.site.approvals.home.resolve()]
        network = task.site.env.get(NETWORK) == "host"
        return PlainSandbox({_SHOWN: self.source.resolve()}, _SHOWN, hidden, network=network)


async def fetched(task: Task) -> Program:
    """The program of the job's artifact, signed by the vendor. Raises NotCustomError and the errors of RegistryClient."""
    job, site = task.job, task.site
    registry = await site.registry.client()
    path = site.registry.repository(job.repository)
    await verify(registry, path, job.digest, site.vendor_keys)
    folder = task.workspace.bundles / hex_of(job.digest)
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(await asyncio.to_thread(tempfile.mkdtemp, dir=folder.parent, prefix=".partial-"))
        try:
            await _fetch(registry, path, job.digest, temporary)
            temporary.rename(folder)
        finally:
            await asyncio.to_thread(shutil.rmtree, temporary, ignore_errors=True)
    config = _config((folder / _CONFIG).read_bytes())
    images = {name: f"{registry.url.netloc.decode()}/{path}@{digest}" for name, digest in config.images.items()}
    return Program(folder / _SOURCE, config, job.digest, images)


async def _fetch(registry: RegistryClient, path: str, digest: str, folder: Path) -> None:
    index = (await registry.get_manifest(path, digest)).body()
    if index.artifact_type != CUSTOM_ARTIFACT or not index.manifests:
        raise NotCustomError(f"{path}@{digest} is not a custom component, but {index.artifact_type or 'something else'}")
    head = (await registry.get_manifest(path, index.manifests[0].digest)).body()
    config, layers = head.config, head.layers
    if config is None or config.media_type != CUSTOM_CONFIG or [each.media_type for each in layers] != [CUSTOM_SOURCE_TYPE]:
        raise NotCustomError(f"{path}@{digest} is a custom component of a kind that this agent doesn't know")
    if config.size > MANIFEST_BYTES:
        raise NotCustomError(f"{path}@{digest} has a config of {config.size} bytes")
    blob = await registry.read_blob(path, config.digest, config.size)
    _config(blob)
    packed = folder / "source.zip"
    await download_blob(registry, path, layers[0].digest, layers[0].size, packed)
    await asyncio.to_thread(_unpack, packed, folder / _SOURCE)
    packed.unlink()
    (folder / _CONFIG).write_bytes(blob)


def _plain_env(more: Mapping[str, str]) -> dict[str, str]:
    return {"PATH": PATH, "LC_ALL": "C.UTF-8", **more}


def _config(blob: bytes) -> CustomArtifactConfig:
    try:
        return CustomArtifactConfig.model_validate_json(blob)
    except ValidationError as error:
        raise NotCustomError(f"the component's config can't be read: {error.errors()[0]['msg']}") from None


def _unpack(packed: Path, into: Path) -> None:
    """Everybody may look into the folder, as the plugin's user isn't the agent's; the folders above it stay closed."""
    extract_zip(packed, into)
    for folder, _, _ in os.walk(into):
        Path(folder).chmod(0o755)
