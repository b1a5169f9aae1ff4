"""The conformance test itself: the worked example passes, and each broken rule is told."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
EXAMPLE = ROOT / "terraform" / "examples" / "custom-component" / "plugin"


def conform(folder: Path, command: str, into: Path) -> tuple[int, str]:
    argv = [sys.executable, "-m", "agent.plugin.conformance", str(folder), command]
    done = subprocess.run([*argv, "--env", f"FOLDER={into}", "--env", "TITLE=Test"], cwd=ROOT, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def test_the_worked_example_conforms(tmp_path: Path) -> None:
    status, said = conform(EXAMPLE, "./page.py", tmp_path)
    assert status == 0, said
    assert said.count("ok  ") == 8
    assert not (tmp_path / "index.html").exists()


@pytest.mark.parametrize(
    ("before", "after", "rule"),
    [
        ('return {"state": None}', 'return {"state": 1}', "destroy leaves no state"),
        ('"changes": [], "plan"', '"changes": [{"address": "x", "actions": ["update"]}], "plan"', "plan after apply is empty"),
        ('"state": page}', '"state": None}', "apply gives a state"),
        ("<h1>{title}", "<h1>' + __import__('uuid').uuid4().hex + '{title}", "build makes the same twice"),
        ("json.dump(answer, sys.stdout)", 'print("hello")', "validate takes a good config"),
        ("    request = json.load", "    raise SystemExit(3)\n    request = json.load", "ended with status 3"),
    ],
)
def test_a_broken_rule_is_told(tmp_path: Path, before: str, after: str, rule: str) -> None:
    text = (
        (EXAMPLE / "page.py").read_text().replace('"<!doctype html>\\n<title>{title}</title>\\n<h1>', "'<!doctype html>\\n<h1>")
    )
    text = text.replace('{title}</h1>\\n")', "{title}</h1>\\n')")
    if before.startswith("<h1>"):
        assert before in text
    assert before in text
    (tmp_path / "page.py").write_text(text.replace(before, after))
    (tmp_path / "page.py").chmod(0o755)
    status, said = conform(tmp_path, "./page.py", tmp_path / "into")
    assert status == 1
    assert rule in next(line for line in said.splitlines() if line.startswith("FAIL"))


def test_a_plugin_that_is_not_there(tmp_path: Path) -> None:
    status, said = conform(tmp_path, "./none", tmp_path)
    assert status == 1
    assert "no program './none'" in said
    assert json.dumps(said)
