import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from agent.cli import agent_command


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(agent_command, [str(each) for each in arguments])


def test_check_says_whether_a_file_is_right(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("version: 1\nrules:\n  - use: no-iam-changes\n")
    assert run("policy", "check", file).output == f"{file} is right: 1 rule.\n"

    file.write_text("version: 1\nmodes: x\n")
    wrong = run("policy", "check", file)
    assert wrong.exit_code == 1
    assert "mine.yaml:2: modes: there is no such field" in wrong.output
    assert "docs/reference/policy.md" in wrong.output


def test_show_says_what_the_agent_may_do(tmp_path: Path) -> None:
    assert "everything that the vendor has signed is allowed" in run("policy", "show", "--home", tmp_path).output

    (tmp_path / "policy.yaml").write_text(
        "version: 1\nmode: read_only\nkinds: [helm_chart]\nrules: [{use: no-egress, message: Never.}]\n"
        "windows: [{days: [sun], from: 02:00, to: 04:00, time_zone: UTC}]\nenvironment: {plan: {AWS_PROFILE: secret-name}}\n"
    )
    run("pause", "--home", tmp_path, "--reason", "an incident")
    shown = run("policy", "show", "--home", tmp_path).output
    for line in (
        "NOTHING BEGINS: paused since ",
        ": an incident",
        "mode: read_only",
        "kinds: helm_chart",
        "rule 'no-egress' refuses: Never.",
        "apply, destroy, update only sun 02:00-04:00 UTC",
        "environment of plan: AWS_PROFILE\n",
    ):
        assert line in shown
    document = json.loads(run("policy", "show", "--home", tmp_path, "--json").output)
    assert document["policy"]["windows"][0]["from"] == "02:00"
    assert document["paused"]["reason"] == "an incident"

    assert run("resume", "--home", tmp_path).output == "Resumed.\n"
    assert "NOTHING BEGINS" not in run("policy", "show", "--home", tmp_path).output


def test_show_says_that_nothing_runs_with_a_bad_file(tmp_path: Path) -> None:
    (tmp_path / "policy.yaml").write_text("version: 2\n")
    shown = run("policy", "show", "--home", tmp_path)
    assert shown.exit_code == 1
    assert "nothing runs" in shown.output


def test_rego_that_is_not_there_is_found_before_a_plan_is(tmp_path: Path) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text("version: 1\nrego: {opa: /nowhere/opa, files: [rules]}\n")
    refused = CliRunner().invoke(agent_command, ["policy", "check", str(file)])
    assert refused.exit_code == 1
    assert f"rego.files: {tmp_path / 'rules'} isn't there" in refused.output
    (tmp_path / "rules").mkdir()
    checked = CliRunner().invoke(agent_command, ["policy", "check", str(file)])
    assert checked.exit_code == 0
    assert "Note: this machine has no program /nowhere/opa" in checked.output


def test_the_kill_switch_says_if_it_can_hardly_have_stopped_anything(tmp_path: Path) -> None:
    """A slip in --home must not leave anybody in the belief that their agent stands still."""
    paused = run("pause", "--home", tmp_path)
    assert paused.exit_code == 0
    assert f"Warning: no agent has enrolled in {tmp_path}. If that isn't its folder, it goes on." in paused.output
    (tmp_path / "identity.json").write_text("{}")
    assert "Warning" not in run("pause", "--home", tmp_path).output


def test_a_kill_switch_that_can_not_be_set_or_reset_says_how_it_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def closed(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("agent.policy.pause.write_durably", closed)
    refused = run("pause", "--home", tmp_path)
    assert (refused.exit_code, "NOT paused" in refused.output) == (1, True)
    assert "Run this as the agent's user, or stop the agent." in refused.output
    monkeypatch.setattr(Path, "unlink", closed)
    refused = run("resume", "--home", tmp_path)
    assert (refused.exit_code, "still paused" in refused.output) == (1, True)
