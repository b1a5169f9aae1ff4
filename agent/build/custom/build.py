"""Build a component of the kind `custom`: what its plugin makes of the source, or the source itself, as one layer."""

import asyncio
import os
from pathlib import Path

from agent.artifact.manifest import (
    CUSTOM_ARTIFACT,
    CUSTOM_CONFIG,
    CUSTOM_SOURCE_TYPE,
    Blob,
    CustomArtifactConfig,
    dated,
)
from agent.build.builder import BuildContext, BuiltArtifact
from agent.build.closure.close import close
from agent.build.closure.found_images import FoundImage
from agent.build.composite import push_index, push_manifest
from agent.build.docker_build.builders import NETWORK
from agent.build.materials import image_materials
from agent.bundle.pack import UNDATED
from agent.bundle.zip import PackedFile, write_zip
from agent.failure import CodedError
from agent.oci.manifest import canonical_json
from agent.oci.provenance import Material
from agent.plugin.entry_point import find_entry_point
from agent.plugin.executable import ExecutablePlugin
from agent.plugin.protocol import Answer, Plugin, Request, good, program_of
from agent.sandbox.ownership import give_away, take_back
from agent.sandbox.sandbox import PATH, SANDBOX, PlainSandbox
from api.contract.components import CustomConfig
from api.contract.source_digest import SourceError, source_files

_MOST_BYTES = 512 * 1024 * 1024
_SECONDS = 900.0


class ConfigRefusedError(CodedError):
    """The plugin says that the config is wrong."""

    code = "config_refused"


class OutputWrongError(CodedError):
    """What the plugin made can't travel."""

    code = "plugin_output_wrong"
    remedy = "Have the plugin write plain files, without links, into the folder `output`."


async def build_custom(config: CustomConfig, context: BuildContext) -> BuiltArtifact:
    """Fetch the source, have the plugin check the config and build, pack the result. Raises JobFailedError."""
    source = await context.fetch(config.source)
    folder, said = source.folder, Answer()
    match config.interface:
        case "command":
            program_of(config.command, folder)  # a command that isn't there is an error now, not at the customer's
        case "python":
            plugin = await asyncio.to_thread(find_entry_point, config.command[0])
            said, folder = await _built(plugin, config, folder, context)
        case "json" if context.env.get(SANDBOX) == "off":
            env = {"PATH": PATH, "HOME": str(context.work), "TMPDIR": str(context.work), "LC_ALL": "C.UTF-8"}
            alone = ExecutablePlugin(program_of(config.command, folder), folder, env, context.log, _SECONDS)
            said, folder = await _built(alone, config, folder, context)
        case "json":
            said, folder = await _built_in_sandbox(config, folder, context)
    found = [FoundImage(image, config.command[0], 0, True) for image in said.images]
    closed = await close(found, context, "config.source")
    layer = Blob(CUSTOM_SOURCE_TYPE, await asyncio.to_thread(_zip, folder, context.work), "source.zip")
    named = {name: text for name, text in (("name", said.name), ("version", said.version)) if text}
    own = CustomArtifactConfig(interface=config.interface, command=tuple(config.command), plugin=named, images=closed.images)
    annotations = dated(source.created or UNDATED, source.revision)
    blob = Blob(CUSTOM_CONFIG, canonical_json(own.model_dump(mode="json")))
    head = await push_manifest(context, blob, (layer,), artifact_type=CUSTOM_ARTIFACT, annotations=annotations)
    made_by = (Material(said.name, said.version, "application"),) if said.name else ()
    return await push_index(
        context,
        CUSTOM_ARTIFACT,
        [head, *closed.parts],
        annotations=annotations,
        revision=source.revision,
        materials=(*made_by, *image_materials(closed.images)),
    )


async def _built(plugin: Plugin, config: CustomConfig, folder: Path, context: BuildContext) -> tuple[Answer, Path]:
    """What the plugin says, and the folder that is to travel."""
    output = context.work / "output"
    output.mkdir()
    said = await _ask(plugin, config, str(folder), str(output), context)
    return said, output if any(output.iterdir()) else folder


async def _built_in_sandbox(config: CustomConfig, folder: Path, context: BuildContext) -> tuple[Answer, Path]:
    """The same by a program of the source, which sees neither the agent's key nor its other files, nor the cloud's metadata."""
    program_of(config.command, folder)  # it mustn't leave its folder
    await asyncio.to_thread(_open_folders, folder)
    output = context.work / "output"
    output.mkdir(mode=0o700)
    sandbox = PlainSandbox(
        {"source": folder.resolve()},
        "source",
        hidden=[context.work.resolve().parent.parent],
        written={"output": output.resolve()},
        network=context.env.get(NETWORK) == "host",
    )
    await sandbox.check()
    plugin = ExecutablePlugin(sandbox.argv(config.command), Path("/"), sandbox.env(), context.log, _SECONDS)
    try:
        await give_away(output)
        said = await _ask(plugin, config, "/tmp/source", "/tmp/output", context)  # noqa: S108 - the sandbox's own
    finally:
        await take_back(output)
    return said, output if any(output.iterdir()) else folder


def _open_folders(folder: Path) -> None:
    """Everybody may look into the source, as the plugin's user isn't the agent's; the folders above it stay closed."""
    for each, _, _ in os.walk(folder):
        Path(each).chmod(0o755)


async def _ask(plugin: Plugin, config: CustomConfig, source: str, output: str, context: BuildContext) -> Answer:
    component = context.repository.rpartition("/")[2]
    request = Request(operation="validate", component=component, environment=config.environment)
    checked = good(await plugin.ask(request), "the plugin", "config.command")
    if checked.problems:
        first = checked.problems[0]
        message = "; ".join(problem.message for problem in checked.problems)
        field = f"config.{first.field}" if first.field else "config.environment"
        raise ConfigRefusedError(f"the plugin refuses the config: {message}", remedy=first.remedy, field=field)
    request = Request(
        operation="build",
        component=component,
        environment=config.environment,
        source=source,
        output=output,
    )
    return good(await plugin.ask(request), "the plugin", "config.command")


def _zip(folder: Path, work: Path) -> bytes:
    """The folder's files, deterministically. Links could lead to the agent's own files: a plugin's output has none."""
    try:
        files = source_files(str(folder))
        for file in files:
            if Path(file.path).resolve() != folder.resolve() / file.name:
                raise OutputWrongError(f"{file.name!r} is a link, or lies behind one")
        size = sum(Path(file.path).stat().st_size for file in files)
    except (OSError, SourceError) as error:
        raise OutputWrongError(f"it can't be read: {error}") from None
    if size > _MOST_BYTES:
        raise OutputWrongError(f"it has {size} bytes, more than {_MOST_BYTES}", remedy="Keep large files in an image.")
    target = work / "packed.zip"
    write_zip(target, [PackedFile(file.name, Path(file.path), file.executable) for file in files], "stored")
    return target.read_bytes()
