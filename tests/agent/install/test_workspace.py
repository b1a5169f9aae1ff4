import os
from pathlib import Path

from agent.install.workspace import KEPT_PLANS, Components, PlanRecord, StoredOutput, StoredOutputs

RECORD = PlanRecord(bundle="sha256:" + "0" * 64, destroy=False, plan_digest=None)


def test_only_the_last_plans_are_kept(tmp_path: Path) -> None:
    workspace = Components(tmp_path).of("network")
    for number in range(KEPT_PLANS + 3):
        plan = workspace.begin_plan(f"job_{number}")
        plan.save(RECORD)
        os.utime(plan.folder, (number, number))
    kept = sorted(folder.name for folder in (workspace.root / "plans").iterdir())
    assert kept == [f"job_{number}" for number in range(3, KEPT_PLANS + 3)]


def test_a_plan_that_is_made_again_begins_empty(tmp_path: Path) -> None:
    workspace = Components(tmp_path).of("network")
    workspace.begin_plan("job_1").said("apply").write_text("from before")
    assert not workspace.begin_plan("job_1").said("apply").exists()


def test_secrets_are_the_sensitive_outputs_of_all_components(tmp_path: Path) -> None:
    components = Components(tmp_path)
    for name in ("a", "b"):
        outputs = {"open": StoredOutput(value="x", sensitive=False), "shut": StoredOutput(value=name, sensitive=True)}
        components.of(name).store_outputs(StoredOutputs(outputs=outputs))
    assert components.secrets() == ["a", "b"]
    assert components.outputs("a") == {"open": "x", "shut": "a"}
    assert components.outputs("c") is None


def test_a_removal_that_was_cut_off_is_finished_at_the_next_start(tmp_path: Path) -> None:
    components = Components(tmp_path)
    (components.folder / ".removed-network" / "state").mkdir(parents=True)
    assert list(Components(tmp_path).folder.iterdir()) == []


def test_a_removed_component_leaves_nothing(tmp_path: Path) -> None:
    components = Components(tmp_path)
    workspace = components.of("network")
    workspace.begin_plan("job_1")
    workspace.remove()
    assert list(components.folder.iterdir()) == []
