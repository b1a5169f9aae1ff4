"""The commands that read an IMS: what they print, and their exit codes."""

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import httpx
import pytest
from click.testing import CliRunner, Result
from ims_driver import Agent, Ims
from server_process import ServerProcess
from shop import Shop, sha, usual

from api.cli import exclave, session


@pytest.mark.parametrize("name", exclave.list_commands(click.Context(exclave)))
def test_every_command_is_where_the_table_says(name: str) -> None:
    assert isinstance(exclave.get_command(click.Context(exclave), name), click.Command)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server with a shop that is deployed on `acme`."""
    running = ServerProcess(tmp_path_factory.mktemp("cli") / "data")
    try:
        asyncio.run(fill(running))
        yield running
    finally:
        running.end(signal.SIGKILL)


async def fill(server: ServerProcess) -> None:
    async with httpx.AsyncClient(base_url=server.url, trust_env=False) as http:
        ims: Ims = server.client(http)
        shop = await Shop.open(ims)
        await shop.install("acme")
        made = await shop.begin("acme")
        while lease := await shop.agents["acme"].lease():
            await shop.agents["acme"].log(lease, f"{lease['payload']['component']} begins\nand ends")
            await shop.agents["acme"].succeed(lease, usual(lease["payload"]))
        assert (await shop.look(made))["status"] == "succeeded"
        await shop.install("leaving")
        await Agent.enrolled(ims)


@pytest.fixture
def run(server: ServerProcess, monkeypatch: pytest.MonkeyPatch):
    """Run a command, signed in, unless the environment given says otherwise."""
    for name in ("EXCLAVE_URL", "EXCLAVE_TOKEN", "EXCLAVE_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)
    signed_in = {"EXCLAVE_URL": server.url, "EXCLAVE_TOKEN_FILE": str(server.data / "admin.token")}

    def call(*arguments: str, env: dict[str, str] | None = None, stdin: str = "") -> Result:
        return CliRunner().invoke(exclave, arguments, env=signed_in if env is None else env, input=stdin)

    return call


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("apps list", "shop"),
        ("apps show shop", "component network: terraform_module, version 1"),
        ("apps components shop", "terraform_module"),
        ("installs list", "network deployed (release 1)"),
        ("installs show acme", "id = network-1"),
        ("installs render acme", "service    variables.network_id  network-1"),
        ("installs render acme --component network --json", '"value": "shop.example"'),
        ("installs stats acme", "network         1        1          0       0          100%"),
        ("releases list", "shop  1       ready"),
        ("releases list --app shop", "ready"),
        ("deploys list --install acme", "  acme     deploy  1        succeeded"),
        ("agents list", "  acme     "),
        ("jobs list", "apply  acme"),
        ("jobs prune-logs --older-than 30d", "Removed the logs of 0 jobs"),
        ("events list --action app.created", "by token:admin"),
        ("events verify", "The history is whole."),
    ],
)
def test_a_command_says_what_there_is(run, command: str, said: str) -> None:
    result = run(*command.split())
    assert (result.exit_code, said in result.output) == (0, True), result.output


def test_json_is_what_the_api_says(run) -> None:
    for command in ("apps list", "installs list", "releases list", "deploys list", "agents list", "jobs list"):
        page = json.loads(run(*command.split(), "--json").output)
        assert page["items"], command
    lines = run("events", "list", "--json").output.splitlines()
    assert [json.loads(line)["seq"] for line in lines] == list(range(1, len(lines) + 1))


def test_a_release_and_a_deploy_and_a_log_are_shown_by_id(run) -> None:
    release = json.loads(run("releases", "list", "--json").output)["items"][0]["id"]
    assert "network v1: succeeded" in run("releases", "show", release).output
    deploy = json.loads(run("deploys", "list", "--json").output)["items"][0]
    shown = run("deploys", "show", deploy["id"], "--follow")
    assert (shown.exit_code, "service.id = service-1" in shown.output) == (0, True)
    job = deploy["steps"][0]["job_id"]
    assert run("jobs", "logs", job).output == "network begins\nand ends"
    followed = run("jobs", "logs", job, "--follow")
    assert (followed.exit_code, followed.stdout, followed.stderr) == (0, "network begins\nand ends", "[succeeded]\n")
    lines = [json.loads(line) for line in run("jobs", "logs", job, "--follow", "--json").stdout.splitlines()]
    assert lines == [
        {"job": job, "log": "network begins\nand ends"},
        {"job": job, "outcome": "succeeded", "message": ""},
    ]
    assert "sync" in run("jobs", "show", job).output
    assert run("jobs", "logs", job, "--attempt", "9").exit_code == 4
    for follow in ([], ["--follow"]):
        result = run("deploys", "logs", deploy["id"], "--component", "service", *follow)
        assert result.exit_code == 0, result.output
        assert [line for line in result.stdout.splitlines() if "[" not in line] == [
            f"service {kind} | {text}" for kind in ("sync", "plan", "apply") for text in ("service begins", "and ends")
        ]
    assert run("deploys", "cancel", deploy["id"]).exit_code == 1


def test_an_enrolment_token_is_written_to_a_file_that_only_its_owner_reads(run, tmp_path: Path) -> None:
    file = tmp_path / "token"
    result = run("agents", "enroll", "--install", "acme", "--output", str(file))
    assert result.exit_code == 0, result.output
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.read_text().strip() not in result.output
    assert f"--token-file {file}" in result.output
    assert run("agents", "enroll").exit_code == 2
    assert run("agents", "enroll", "--build", "--install", "acme").exit_code == 2


@pytest.mark.parametrize(
    "command",
    [
        "installs show nope",
        "apps components nope",
        "releases show rel_nope",
        "deploys show dep_nope",
        "deploys list --install nope",
        "deploys cancel dep_nope",
        "jobs logs job_nope",
        "jobs logs job_nope --follow",
        "jobs show job_nope",
        "deploys logs dep_nope",
        "deploys logs dep_nope --follow",
        "agents show agt_nope",
        "agents revoke agt_nope",
    ],
)
def test_what_is_not_found_ends_with_4(run, command: str) -> None:
    result = run(*command.split())
    assert (result.exit_code, "Not found" in result.stderr) == (4, True)


def test_without_a_token_or_with_a_wrong_one_it_ends_with_5(run, server: ServerProcess, tmp_path: Path) -> None:
    url = {"EXCLAVE_URL": server.url}
    for env, said in [
        (url, "Set EXCLAVE_TOKEN"),
        ({**url, "EXCLAVE_TOKEN_FILE": str(tmp_path / "nope")}, "can't be read"),
        ({**url, "EXCLAVE_TOKEN": "excl_wrong"}, "Not signed in"),
    ]:
        result = run("apps", "list", env=env)
        assert (result.exit_code, said in result.stderr) == (5, True), result.stderr


def test_without_a_server_it_says_so_and_ends_with_1(run) -> None:
    result = run("apps", "list", "--url", "http://127.0.0.1:9", env={"EXCLAVE_TOKEN": "x"})
    assert result.exit_code == 1
    assert "no answer from http://127.0.0.1:9" in result.stderr
    assert "exclave up" in result.stderr


def test_a_teardown_asks_first(run) -> None:
    result = run("deploys", "teardown", "acme", stdin="n\n")
    assert (result.exit_code, "Destroy everything" in result.output) == (1, True)
    assert len(json.loads(run("deploys", "list", "--json").output)["items"]) == 1


def test_a_release_goes_to_the_installs_that_are_chosen(run) -> None:
    release = json.loads(run("deploys", "list", "--json").output)["items"][0]["release_id"]
    assert run("deploys", "start", release).exit_code == 2
    assert run("deploys", "start", release, "--all", stdin="n\n").exit_code == 1
    result = run("deploys", "start", release, "--selector", "region=nowhere")
    assert (result.exit_code, result.stdout) == (0, "Made 0 deploys of release 1.\n")
    result = run("deploys", "start", release, "--install", "nobody")
    assert (result.exit_code, "has no install 'nobody'" in result.stderr) == (1, True)


def test_a_deploy_is_made_of_the_release_that_is_there_and_names_what_is_planned_anew(run) -> None:
    result = run("deploys", "create", "acme", "--replace", "aws_instance.a")
    assert (result.exit_code, "--component" in result.stderr) == (2, True)
    result = run("deploys", "create", "acme", "--component", "nothing", "--no-follow")
    assert (result.exit_code, "the release has no component 'nothing'" in result.stderr) == (1, True)
    result = run("deploys", "create", "nobody")
    assert result.exit_code != 0


def test_an_agent_is_disconnected_from_its_install_and_what_stays_is_named(run) -> None:
    asked = run("installs", "disconnect", "acme", stdin="n\n")
    assert asked.exit_code == 1
    assert "managed by nobody from now on: network, service" in asked.stderr
    assert json.loads(run("installs", "show", "acme", "--json").stdout)["agent_id"]
    result = run("installs", "disconnect", "leaving", "--yes")
    assert result.exit_code == 0, result.output
    assert "exclave installs connect leaving" in result.stdout
    again = run("installs", "disconnect", "leaving", "--yes")
    assert (again.exit_code, "has no agent" in again.stderr) == (1, True)


def test_every_command_has_help_and_an_unknown_one_is_wrong_usage(run) -> None:
    listed = run("--help").output
    for command in ("up", "apps", "installs", "releases", "deploys", "agents", "jobs", "events"):
        assert command in listed
        assert run(command, "--help").exit_code == 0
    assert run("zebra").exit_code == 2


def test_a_token_that_can_not_be_written_down_is_not_made(run, tmp_path: Path) -> None:
    def enrolments() -> str:
        return run("events", "list", "--action", "enrollment.*", "--json").output  # of others, time brings more

    made = enrolments()
    result = run("agents", "enroll", "--build", "--output", str(tmp_path / "nowhere" / "token"))
    assert (result.exit_code, "can't write --output" in result.stderr) == (1, True)
    assert made
    assert enrolments() == made


def test_a_token_file_that_was_there_is_closed_to_others(run, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.touch(0o644)
    assert run("agents", "enroll", "--build", "--output", str(file)).exit_code == 0
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_revoked_agent_is_shown(run, server: ServerProcess) -> None:
    async def enrolled() -> str:
        async with httpx.AsyncClient(base_url=server.url, trust_env=False) as http:
            return (await Agent.enrolled(server.client(http))).id

    agent = asyncio.run(enrolled())
    assert json.loads(run("agents", "revoke", agent, "--json").output)["revoked_at"]


def test_an_agent_is_offered_a_version_of_itself(run, server: ServerProcess) -> None:
    async def enrolled() -> str:
        async with httpx.AsyncClient(base_url=server.url, trust_env=False) as http:
            ims = server.client(http)
            await ims.ok("POST", "/v1/installs", {"name": "updated", "app_id": "shop"})
            return (await Agent.enrolled(ims, "updated")).id

    agent = asyncio.run(enrolled())
    offer = ("agents", "update", "--digest", sha("agent"), "--to")
    (job,) = json.loads(run(*offer, "0.2.0", agent, "--json").output)["items"]
    assert (job["kind"], job["state"]) == ("update_agent", "queued")
    assert (run(*offer, "0.2.0", agent).exit_code, run(*offer, "0.2.0").exit_code, run(*offer, "new", agent).exit_code) == (
        1,
        2,
        2,
    )
    assert "All install agents have it." in run(*offer, "0.1.0", "--all").output


@pytest.mark.parametrize("name", ["a/b", "?limit=1", "#", "../apps"])
def test_a_name_is_never_taken_for_a_part_of_the_address(run, name: str) -> None:
    assert run("installs", "show", name).exit_code == 4


@pytest.mark.parametrize("url", ["localhost:8420", "ftp://ims", "", "http://"])
def test_what_is_no_address_is_wrong_usage(run, url: str) -> None:
    result = run("apps", "list", "--url", url)
    assert (result.exit_code, "is not an address" in result.stderr) == (2, True)


def test_what_is_no_token_is_told_before_anything_is_sent(run, server: ServerProcess, tmp_path: Path) -> None:
    file = tmp_path / "token"
    for content in (b"", b"two words", b"\xff\xfe"):
        file.write_bytes(content)
        result = run("apps", "list", env={"EXCLAVE_URL": server.url, "EXCLAVE_TOKEN_FILE": str(file)})
        assert (result.exit_code, "doesn't hold a token" in result.stderr) == (5, True)


def test_reading_the_history_loads_no_web_framework() -> None:
    script = "import sys, api.cli.events; sys.exit('fastapi' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_a_list_goes_on_over_all_pages_or_to_its_limit(run, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = json.loads(run("jobs", "list", "--json").output)["items"]
    monkeypatch.setattr(session, "_PAGE", 2)
    assert json.loads(run("jobs", "list", "--json").output) == {"items": jobs, "after": None}
    some = json.loads(run("jobs", "list", "--limit", "3", "--json").output)
    assert (some["items"], some["after"]) == (jobs[:3], jobs[2]["id"])
    assert run("jobs", "list", "--limit", "0").exit_code == 2
    assert run("jobs", "prune-logs", "--older-than", "soon").exit_code == 2


def test_an_agent_is_shown_with_its_machine(run, server: ServerProcess) -> None:
    health = {"version": "0.1.0", "uptime_seconds": 61, "jobs": 2, "load": 0.5, "cpus": 2}

    async def reported() -> str:
        async with httpx.AsyncClient(base_url=server.url, trust_env=False) as http:
            agent = await Agent.enrolled(server.client(http))
            await agent.ims.ok("POST", "/v1/agent/lease", {"wait_seconds": 0, "health": health}, token=agent.token)
            return agent.id

    agent = asyncio.run(reported())
    shown = run("agents", "show", agent).output
    for said in ("online", "2 jobs, up 0:01:01", "load 0.50 on 2 CPUs", "memory in use unknown"):
        assert said in shown
    assert json.loads(run("agents", "show", agent, "--json").output)["load"]["jobs"] == 2
