"""Custom components: what travels, how a plugin is asked, and what of it is refused."""

import importlib.metadata
import io
import os
import shutil
import zipfile
from pathlib import Path
from typing import Any

import pytest
from build_job import Build, BuildAgent
from images import push_image
from registry_server import RegistryServer

from agent.artifact.manifest import CUSTOM_ARTIFACT, CustomArtifactConfig
from agent.failure import JobFailedError
from agent.oci.signature import verify
from agent.oci.vendor_key import VendorKey
from api.contract.base import Failure
from api.contract.components import CustomConfig, PathSource, Source
from api.contract.resources import Artifact

pytestmark = pytest.mark.anyio

EXAMPLE = Path(__file__).parents[3] / "terraform" / "examples" / "custom-component" / "plugin"
CANARY = "canary-custom-33"


@pytest.fixture
def build(build_agent: BuildAgent) -> Build:
    return build_agent.builds("acme/page")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    shutil.copytree(EXAMPLE, tmp_path / "src")
    return tmp_path / "src"


def of(folder: Path, **more: Any) -> CustomConfig:
    fields: dict[str, Any] = {"command": ["./page.py"], "interface": "json", "environment": {"FOLDER": "/srv", "TITLE": "Hi"}}
    return CustomConfig(source=Source(path=PathSource(path=str(folder))), **fields | more)


def script(folder: Path, text: str) -> None:
    (folder / "page.py").write_text(f"#!/bin/sh\n{text}\n")


async def read(server: RegistryServer, artifact: Artifact) -> tuple[CustomArtifactConfig, zipfile.ZipFile]:
    client = server.client()
    index = await client.get_manifest("acme/page", artifact.digest)
    head = (await client.get_manifest("acme/page", index.body().manifests[0].digest)).body()
    assert head.config
    config = await client.read_blob("acme/page", head.config.digest, head.config.size)
    layer = await client.read_blob("acme/page", head.layers[0].digest, head.layers[0].size)
    return CustomArtifactConfig.model_validate_json(config), zipfile.ZipFile(io.BytesIO(layer))


async def failure_of(build: Build, config: CustomConfig) -> Failure:
    with pytest.raises(JobFailedError) as failed:
        await build(config)
    return failed.value.failure


async def test_what_a_plugin_builds_travels(build: Build, source: Path, vendor: RegistryServer, key: VendorKey) -> None:
    result = await build(of(source))
    assert result.artifact.artifact_type == CUSTOM_ARTIFACT
    await verify(vendor.client(), "acme/page", result.artifact.digest, (key.public_pem,))
    config, packed = await read(vendor, result.artifact)
    assert sorted(packed.namelist()) == ["page.py", "template.html"]
    assert (config.interface, config.command, config.plugin["name"]) == ("json", ("./page.py",), "page")
    os.utime(source / "page.py", (1, 1))
    assert (await build(of(source))).artifact == result.artifact


async def test_a_plain_command_travels_with_its_folder(build: Build, source: Path, vendor: RegistryServer) -> None:
    script(source, "exit 1")
    config, packed = await read(vendor, (await build(of(source, interface="command"))).artifact)
    assert (config.interface, packed.namelist()) == ("command", ["page.py"])


async def test_images_that_a_plugin_names_travel(
    build: Build, source: Path, vendor: RegistryServer, debian: RegistryServer
) -> None:
    digest = (await push_image(debian, "team/web", "1"))["digest"]
    image = f"{debian.url.removeprefix('http://')}/team/web:1"
    script(source, f'echo \'{{"images": ["{image}"]}}\'')
    config, _ = await read(vendor, (await build(of(source))).artifact)
    assert config.images == {image: digest}


async def test_a_config_that_the_plugin_refuses(build: Build, source: Path) -> None:
    failure = await failure_of(build, of(source, environment={"TITLE": "x"}))
    assert (failure.code, failure.field) == ("config_refused", "config.environment.FOLDER")
    assert "FOLDER is missing" in failure.message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("exit 7", "status 7"),
        ("echo hello", "can't be read"),
        ('echo \'{"error": {"message": "no luck"}}\'', "no luck"),
        ("head -c 20000000 /dev/zero", "more than"),
        ("echo '{\"problems\": 3}'", "problems"),
    ],
)
async def test_a_plugin_that_breaks_the_protocol(build: Build, source: Path, text: str, message: str) -> None:
    script(source, text)
    failure = await failure_of(build, of(source))
    assert failure.code == "plugin_failed"
    assert message in failure.message


@pytest.mark.parametrize("command", ["./none", "./../../key.pem", "./"])
async def test_a_command_outside_of_the_source(build: Build, source: Path, command: str) -> None:
    for interface in ("json", "command"):
        failure = await failure_of(build, of(source, command=[command], interface=interface))
        assert (failure.code, failure.field) == ("plugin_failed", "config.command")


async def test_a_link_in_a_plugins_output_is_refused(build: Build, source: Path) -> None:
    script(
        source, 'out=$(cat | sed \'s/.*"output":"\\([^"]*\\)".*/\\1/\')\n[ -d "$out" ] && ln -s /etc/passwd "$out/x"\necho "{}"'
    )
    assert (await failure_of(build, of(source))).code == "plugin_output_wrong"


async def test_a_plugin_sees_nothing_of_the_agents_environment(build: Build, source: Path, build_agent: BuildAgent) -> None:
    script(source, "env >&2\necho '{}'")
    await build(of(source), env={"AWS_SECRET_ACCESS_KEY": CANARY})
    assert any(line.startswith("PATH=") for line in build_agent.log)
    assert not [line for line in build_agent.log if CANARY in line]


async def test_a_plugin_reaches_neither_the_agents_key_nor_a_network(
    build: Build, source: Path, build_agent: BuildAgent, vendor: RegistryServer, tmp_path: Path
) -> None:
    """It ran as the agent's user, who owns the key with which everything is signed."""
    port = vendor.url.rpartition(":")[2]
    script(
        source,
        f"""cat > /dev/null
        for file in {tmp_path}/key.pem {tmp_path}/work; do [ -e "$file" ] && echo "sees $file" >&2; done
        (echo > page.py) 2>/dev/null && echo "writes into the source" >&2
        grep -q : /proc/net/tcp && grep -qi {int(port):04X} /proc/net/tcp && echo "sees the network" >&2
        echo "is $(id -u)" >&2
        [ -d /tmp/output ] && echo made > /tmp/output/made
        echo '{{}}'""",
    )
    await build(of(source))
    assert [line for line in build_agent.log if line.startswith(("sees", "writes"))] == []
    users = {line for line in build_agent.log if line.startswith("is ")}
    assert len(users) == 1
    assert os.getuid() != 0 or users != {"is 0"}


class Installed:
    """A plugin of a Python package."""

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        if request["operation"] == "build":
            (Path(request["output"]) / "made").write_text("x")
        return {"name": "installed"}


async def test_a_plugin_that_is_an_entry_point(
    build: Build, source: Path, vendor: RegistryServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = importlib.metadata.EntryPoint("page", f"{__name__}:Installed", "exclave.components")
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: [entry])
    config, packed = await read(vendor, (await build(of(source, interface="python", command=["page"]))).artifact)
    assert (config.plugin, packed.namelist()) == ({"name": "installed"}, ["made"])
    failure = await failure_of(build, of(source, interface="python", command=["other"]))
    assert "there are: page" in failure.message
