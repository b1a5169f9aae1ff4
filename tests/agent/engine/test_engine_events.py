import json

import pytest

from agent.engine.environment import cli_config
from agent.engine.events import ChangeSummary, Diagnostic, LogLine, ResourceEvent, boxed_errors, parse


@pytest.mark.parametrize(
    "line",
    [
        "plain text",
        "{not json",
        "{}",
        '{"type": "diagnostic", "@message": "x"}',
        '{"type":"change_summary","@message":1}',
        "[]",
    ],
)
def test_a_line_that_is_not_known_is_kept_as_it_is(line: str) -> None:
    assert parse(line) == LogLine(line)


def test_an_event_of_an_unknown_type_is_kept_as_its_message() -> None:
    assert parse('{"@message": "news", "type": "invented_later", "x": 1}') == LogLine("news")


def test_a_diagnostic_reads_like_a_sentence() -> None:
    line = {
        "@message": "Error: Bad",
        "type": "diagnostic",
        "diagnostic": {
            "severity": "error",
            "summary": "Bad",
            "detail": "Very bad.",
            "range": {"filename": "main.tf", "start": {"line": 3}},
        },
    }
    parsed = parse(json.dumps(line))
    assert parsed == Diagnostic("error", "Bad", "Very bad.", "", "main.tf", 3)
    assert parsed.text == "Error: Bad (main.tf:3)\nVery bad."


def test_changes_and_resources_are_typed() -> None:
    summary = {
        "@message": "done",
        "type": "change_summary",
        "changes": {"operation": "apply", "add": 1, "change": 2, "remove": 3},
    }
    assert parse(json.dumps(summary)) == ChangeSummary("apply", 1, 2, 3, "done")
    hook = {"@message": "a: Creating...", "type": "apply_start", "hook": {"resource": {"addr": "a"}}}
    assert parse(json.dumps(hook)) == ResourceEvent("apply_start", "a", "a: Creating...")


def test_errors_in_boxes_are_read() -> None:
    text = """\
Initializing modules...
╷
│ Error: Unreadable module directory
│
│   on main.tf line 4, in module "x":
│    4: module "x" {
│
│ Unable to evaluate directory symlink: no such file.
╵
╷
│ Error: Another
╵
"""
    assert boxed_errors(text.splitlines()) == [
        Diagnostic(
            "error",
            "Unreadable module directory",
            "Unable to evaluate directory symlink: no such file.",
            file="main.tf",
            line=4,
        ),
        Diagnostic("error", "Another"),
    ]


def test_a_mirror_path_is_written_so_that_hcl_reads_it_back() -> None:
    from pathlib import Path

    assert r'path = "/tmp/\"a\" $${b} %%{c}"' in cli_config(Path('/tmp/"a" ${b} %{c}'))
