"""What an idle agent has in memory: `benchmarks/idle_agent.py` has the figures, these tests what they stand on."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from agent_protocol_server import TOKEN, agent_protocol_server

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[2]

# What a job needs, or a policy, or a command of another name; each was loaded once at every start.
FOR_LATER = [
    "agent.build",
    "agent.disconnect",
    "agent.install.deploy",
    "agent.install.sync",
    "agent.kubernetes.client",
    "agent.kubernetes.kubeconfig",
    "agent.policy.cli",
    "agent.policy.read",
    "agent.policy.rule_sets",
    "agent.state.gcs",
    "agent.state.s3",
    "agent.update.cli",
    "agent.update.job",
    "api.contract.reference_grammar",
    "boto3",
    "google.auth",
    "hcl2",
    "logging.handlers",
    "packaging",
    "pickle",
    "yaml",
]


async def test_an_idle_agent_has_loaded_nothing_that_only_a_job_needs(tmp_path: Path) -> None:
    writer, loaded = tmp_path / "writer.json", tmp_path / "loaded.json"
    writer.write_text(json.dumps({"url": "http://127.0.0.1:1", "username": "writer", "password": "secret"}))
    program = f"""
import atexit, json, pathlib, sys
sys.modules["httpx._main"] = None  # httpx's own command line, whose packages are here for others
def tell():
    from api.contract.agents import DeployJob, LeaseRequest
    built = [model.__name__ for model in (DeployJob, LeaseRequest) if model.__pydantic_complete__]
    pathlib.Path({str(loaded)!r}).write_text(json.dumps([sorted(sys.modules), built]))
atexit.register(tell)
from api.cli import main
main()
"""
    command = [sys.executable, "-c", program, "agent", "install", "--once", "--registry-credentials", str(writer)]
    async with agent_protocol_server() as ims:
        agent = await asyncio.create_subprocess_exec(
            *command,
            *["--url", ims.url, "--home", str(tmp_path / "home")],
            cwd=ROOT,
            env={**os.environ, "EXCLAVE_AGENT_TOKEN": TOKEN},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        _, complained = await agent.communicate()
    assert agent.returncode == 0, complained
    modules, built = json.loads(loaded.read_text())
    assert "agent.worker" in modules
    assert [name for name in modules if any(name == each or name.startswith(f"{each}.") for each in FOR_LATER)] == []
    assert built == ["LeaseRequest"], "models are built by their first use"


def test_an_ims_has_built_its_models_before_the_first_request() -> None:
    """Late ones would be built anew for each route that names them: 9 MB."""
    program = "import sys, api.app; from api.contract.agents import Lease; sys.exit(not Lease.__pydantic_complete__)"
    assert subprocess.run([sys.executable, "-c", program], cwd=ROOT).returncode == 0
