"""The table of docs/explanation/what-a-fault-leaves.md names tests that there are."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_test_that_the_table_names_is_there() -> None:
    page = (ROOT / "docs" / "explanation" / "what-a-fault-leaves.md").read_text()
    named = set(re.findall(r"`(test_\w+)`", page))
    there = {name for file in (ROOT / "tests").rglob("test_*.py") for name in re.findall(r"def (test_\w+)", file.read_text())}
    assert len(named) > 25
    assert named - there == set()
