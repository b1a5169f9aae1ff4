"""Fifty components at once. The engine is a stand-in: a script that waits for its forty-nine fellows, and writes a state."""

import asyncio
import os
from pathlib import Path

import pytest
from customer import Customer

from agent.bundle.manifest import BundleConfig
from agent.engine.environment import engine_environment
from agent.engine.find import Engine
from agent.install.terraform_module.module import Module
from agent.install.workspace import PlanRecord
from agent.state.lock import holder_of
from api.contract.resources import PlanSummary

pytestmark = pytest.mark.anyio
MANY = 50
STAND_IN = """#!/bin/sh
case $1 in
apply)
    touch "$MEETING/$$"
    while [ $(ls "$MEETING" | wc -l) -lt 50 ]; do sleep 0.2; done
    echo '{"version": 4, "serial": 1, "lineage": "one", "outputs": {}, "resources": []}' > ../state/terraform.tfstate
    echo '{"@message":"done","type":"change_summary","changes":{"operation":"apply","add":1,"change":0,"remove":0}}' ;;
output) echo '{}' ;;
esac
"""


async def test_fifty_modules_are_applied_side_by_side(
    account: Customer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    meeting, engine = tmp_path / "meeting", tmp_path / "stand-in"
    meeting.mkdir()
    engine.write_text(STAND_IN)
    engine.chmod(0o755)
    names = [f"part-{number}" for number in range(MANY)]
    for name in names:
        account.digests[name] = "sha256:" + "0" * 64
        workspace = account.site.components.of(name)
        saved = workspace.begin_plan("job_plan")
        workspace.work.mkdir()
        workspace.state.parent.mkdir()
        saved.file.write_text("plan")
        saved.secrets.write_text("[]")
        record = PlanRecord(bundle=account.digests[name], destroy=False, plan_digest=saved.digest(), summary=PlanSummary(add=1))
        saved.save(record)

    async def prepared(job, context, site, workspace, lock) -> Module:  # type: ignore[no-untyped-def]
        environment = {**engine_environment(os.environ, tmp_path / "none"), "MEETING": str(meeting)}
        kind = Engine("binary", engine, "terraform", "1.11.4")
        return Module(kind, workspace.work, environment, BundleConfig.model_construct())

    monkeypatch.setattr("agent.install.terraform_module.deployer.prepared", prepared)
    async with asyncio.timeout(600):
        results = await asyncio.gather(
            *(account.run(account.job("apply", name, plan="job_plan"), f"job_{name}") for name in names)
        )
    assert [result.kind for result in results] == ["apply"] * MANY
    assert len(list(meeting.iterdir())) == MANY
    assert account.site.states
    for name in names:
        of = account.site.states.of(name)
        assert of.load()
        assert holder_of(of.store, of.lock_name) is None
