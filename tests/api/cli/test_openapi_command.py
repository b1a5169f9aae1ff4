"""`exclave openapi`, and `--json` of `exclave config check`."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from api.cli import exclave


@pytest.mark.service
def test_the_document_is_printed_without_a_server() -> None:
    done = CliRunner().invoke(exclave, ["openapi"])
    assert done.exit_code == 0, done.output
    document = json.loads(done.output)
    assert document["openapi"].startswith("3.1")
    assert "/v1/deploys/preview" in document["paths"]


def test_a_check_of_the_settings_is_for_programs_too(tmp_path: Path) -> None:
    done = CliRunner().invoke(exclave, ["config", "check", "--json", "--data", str(tmp_path)], env={"EXCLAVE_PORT": "http"})
    found = json.loads(done.output)
    assert (done.exit_code, found["ok"], len(found["problems"])) == (1, False, 1)
    assert found["settings"]["data"]["value"] == str(tmp_path)
