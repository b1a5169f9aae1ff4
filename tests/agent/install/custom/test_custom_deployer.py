"""Custom components in the customer's account: the worked example from its source to its page, and what a plugin can't do."""

import asyncio
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from artifacts import image
from customer import Customer
from registry_server import RegistryServer

from agent.build.build import run_build
from agent.cancellation import Cancellation, JobCancelledError
from agent.engine.find import Engine
from agent.failure import JobFailedError
from agent.install.approvals import Approvals
from agent.install.registries import CustomerRegistry, RegistryWriter
from agent.install.site import Site
from agent.install.workspace import Components
from agent.oci.vendor_key import VendorKey
from api.contract.agents import ApplyResult, BuildJob, JobResult, PlanResult, RegistryAccess
from api.contract.base import Failure
from api.contract.components import CustomConfig, PathSource, Source

pytestmark = pytest.mark.anyio

EXAMPLE = Path(__file__).parents[4] / "terraform" / "examples" / "custom-component" / "plugin"
CANARY = "canary-plugin-91"


@pytest.fixture
def account(tmp_path: Path, vendor: RegistryServer, customer: RegistryServer, http: httpx.AsyncClient) -> Customer:
    """A customer's account, which needs no engine for this."""
    key = VendorKey.load_or_create(tmp_path / "vendor.key")
    site = Site(
        install_id="ins_1",
        app_name="shop",
        components=Components(tmp_path / "home"),
        registry=CustomerRegistry(RegistryWriter(url=customer.url, username="writer", password="secret"), http),
        vendor_keys=(key.public_pem,),
        engine=None,
        env={"PATH": os.environ["PATH"], "AWS_SECRET_ACCESS_KEY": CANARY},
        http=http,
        approvals=Approvals(tmp_path / "home"),
    )
    return Customer(vendor, customer, site, key, tmp_path / "vendor-side")


@pytest.fixture
def pages() -> Iterator[Path]:
    """A folder of the customer's, in which the plugin's user may write. Not in /tmp: a plugin has one of its own."""
    folder = Path(tempfile.mkdtemp(dir="/var/tmp", prefix="exclave-test-"))
    folder.chmod(0o777)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)  # an agent that isn't root may not remove what the plugin's user has made


@pytest.fixture
def source(tmp_path: Path) -> Path:
    shutil.copytree(EXAMPLE, tmp_path / "src")
    return tmp_path / "src"


class Component:
    """The component `page`, from the vendor's source to the customer's account."""

    def __init__(self, account: Customer, folder: Path, **fields: Any) -> None:
        self.account = account
        more: dict[str, Any] = {"command": ["./page.py"], "interface": "json"} | fields
        self.config = CustomConfig(source=Source(path=PathSource(path=str(folder))), **more)

    async def build(self) -> None:
        async def no_engine() -> Engine:
            raise AssertionError

        account = self.account
        access = RegistryAccess(url=account.vendor.url, repository="shop/page", username="writer", password="secret")
        result = await run_build(
            BuildJob(build_id="bld_page", app="shop", component="page", config=self.config, registry=access),
            work=account.folder / "builds",
            engine=no_engine,
            key=account.key,
            http=account.registry.http,
            log=account.log.append,
            env={"PATH": os.environ["PATH"]},
        )
        account.digests["page"] = result.artifact.digest
        await account.sync("page")

    async def run(self, kind: str, plan: str | None = None, *, job_id: str | None = None, **more: Any) -> JobResult:
        job = self.account.job(kind, "page", plan=plan).model_copy(update={"config": self.config, **more})
        return await self.account.run(job, job_id or f"job_{kind}")

    async def plan(self, kind: str = "plan", **more: Any) -> PlanResult:
        result = await self.run(kind, **more)
        assert isinstance(result, PlanResult)
        return result

    async def apply(self, kind: str = "apply", plan: str = "job_plan", **more: Any) -> ApplyResult:
        result = await self.run(kind, plan, **more)
        assert isinstance(result, ApplyResult)
        return result

    async def failure(self, kind: str, plan: str | None = None) -> Failure:
        with pytest.raises(JobFailedError) as failed:
            await self.run(kind, plan)
        return failed.value.failure


def script(folder: Path, text: str) -> None:
    """A plugin in a few lines: `operation` and `request` are there, and what it puts into `answer` is said."""
    begin = "#!/usr/bin/env python3\nimport json, os, subprocess, sys, time, pathlib\nrequest = json.load(sys.stdin)\n"
    body = "operation, answer = request['operation'], {}\n" + text
    (folder / "page.py").write_text(begin + body + "\njson.dump(answer, sys.stdout)\n")


async def test_the_worked_example_from_source_to_page_and_back(account: Customer, source: Path, pages: Path) -> None:
    environment = {"FOLDER": str(pages / "status"), "TITLE": "All is well at {{ install.name }}"}
    page = Component(account, source, environment=environment)
    await page.build()

    planned = await page.plan()
    file = pages / "status" / "index.html"
    assert [(each.address, each.actions) for each in planned.summary.resources] == [(str(file), ["create"])]
    assert not file.exists()
    applied = await page.apply()
    assert "All is well at acme" in file.read_text()
    assert applied.outputs == {"path": str(file)}
    assert (await page.plan()).summary.empty
    assert (await page.apply(job_id="job_apply_2")).outputs == {"path": str(file)}

    gone = await page.plan("plan_destroy")
    assert gone.summary.destroy == 1
    await page.apply("destroy", "job_plan_destroy")
    assert not file.exists()
    assert not account.home("page").exists()
    await page.apply("destroy", "job_plan_destroy")  # once more, after a crash


PROBE = """
def can(act):
    try:
        return bool(act())
    except OSError:
        return False
if operation == 'plan':
    answer['changes'] = [{'address': 'x', 'actions': ['create']}]
if operation == 'apply':
    answer['state'] = {}
    answer['outputs'] = {
        'user': os.getuid(),
        'environment': sorted(os.environ),
        'key': can(lambda: open(HOME + '/../vendor.key').read()),
        'home': can(lambda: os.listdir(HOME)),
        'own': can(lambda: open('page.py', 'a')),
        'temporary': can(lambda: open('/tmp/home/x', 'w')),
        'processes': sum(name.isdigit() for name in os.listdir('/proc')),
        'interfaces': [line.split(':')[0].strip() for line in open('/proc/net/dev') if ':' in line],
        'network': can(lambda: __import__('socket').create_connection(ADDRESS, timeout=5)),
        'privileges': [line.split()[1] for line in open('/proc/self/status') if line.startswith(('CapEff', 'NoNewPrivs'))],
    }
"""


async def test_a_plugin_is_nobody_and_sees_nothing(account: Customer, source: Path, vendor: RegistryServer) -> None:
    url = httpx.URL(vendor.url)
    home = account.site.approvals.home
    script(source, f"HOME, ADDRESS = {str(home)!r}, ({url.host!r}, {url.port})\n{PROBE}")
    page = Component(account, source)
    await page.build()
    await page.plan()
    seen = (await page.apply()).outputs
    assert seen["user"] != os.getuid()
    assert seen["environment"] == ["HOME", "LC_ALL", "PATH", "TMPDIR"]
    assert {name: seen[name] for name in ("key", "home", "own", "temporary", "network")} == {
        "key": False,
        "home": False,
        "own": False,
        "temporary": True,
        "network": False,
    }
    assert seen["interfaces"] == ["lo"]
    assert seen["processes"] < 5
    assert seen["privileges"] == ["0000000000000000", "1"]
    assert not [line for line in account.log if CANARY in line]


async def test_the_customer_may_give_plugins_the_network(account: Customer, source: Path, vendor: RegistryServer) -> None:
    url = httpx.URL(vendor.url)
    script(source, f"HOME, ADDRESS = '/', ({url.host!r}, {url.port})\n{PROBE}")
    account.site = replace(account.site, env={"EXCLAVE_PLUGIN_NETWORK": "host"})
    page = Component(account, source)
    await page.build()
    await page.plan()
    assert (await page.apply()).outputs["network"] is True


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("bytearray(3 * 1024 ** 3)", "status 1"),
        ("os.close(1); os.execvp('false', ['false'])", "status 1"),
        ("answer['error'] = {'message': 'the cluster is away'}", "the cluster is away"),
        ("[subprocess.Popen(['sleep', '60']) for _ in range(600)]", "status 1"),
    ],
)
async def test_a_plan_that_fails_says_why(account: Customer, source: Path, text: str, message: str) -> None:
    script(source, f"if operation == 'plan':\n    {text}")
    page = Component(account, source)
    await page.build()
    failure = await page.failure("plan")
    assert failure.code == "plugin_failed"
    assert message in failure.message


async def test_an_apply_runs_what_was_planned_and_nothing_else(account: Customer, source: Path) -> None:
    """`saved-plan`: neither another environment nor another state."""
    script(
        source,
        "if operation == 'plan':\n"
        "    answer = {'plan': request['environment'], 'changes': [{'address': 'a', 'actions': ['update']}]}\n"
        "if operation == 'apply': answer = {'state': 1, 'outputs': {'plan': request['plan'], 'had': request['environment']}}\n",
    )
    page = Component(account, source, environment={"A": "{{ inputs.a }}"})
    await page.build()
    await page.plan(inputs={"a": "planned"})
    applied = await page.apply(inputs={"a": "another"})
    assert applied.outputs == {"plan": {"A": "planned"}, "had": {"A": "planned"}}
    await page.plan(inputs={"a": "planned"})
    (account.home("page") / "state" / "custom.json").write_text("2")
    assert (await page.failure("apply", "job_plan")).code == "plan_stale"
    saved = account.home("page") / "plans" / "job_plan" / "plan"
    saved.write_bytes(saved.read_bytes().replace(b"planned", b"changed"))
    assert (await page.failure("apply", "job_plan")).code == "plan_changed"


async def test_an_apply_that_is_repeated_after_a_crash_is_not_done_twice(account: Customer, source: Path, pages: Path) -> None:
    script(
        source,
        f"log = pathlib.Path({str(pages)!r}) / 'log'\n"
        "if operation == 'plan': answer = {'plan': 1}\n"
        "if operation == 'apply':\n    log.open('a').write('x')\n    answer = {'state': 1, 'outputs': {'a': 1}}\n",
    )
    page = Component(account, source)
    await page.build()
    await page.plan()
    first = await page.apply()
    assert (await page.apply()).outputs == first.outputs == {"a": 1}
    assert (pages / "log").read_text() == "x"


async def test_sensitive_outputs_stay_in_the_account(account: Customer, source: Path) -> None:
    script(
        source,
        "if operation == 'apply':\n"
        f"    answer = {{'state': 1, 'outputs': {{'password': {CANARY!r}, 'url': 'u'}}, 'sensitive': ['password']}}\n",
    )
    page = Component(account, source)
    await page.build()
    await page.plan()
    applied = await page.apply()
    assert (applied.outputs, applied.sensitive_outputs) == ({"url": "u"}, ["password"])
    assert account.site.components.outputs("page") == {"password": CANARY, "url": "u"}


async def test_a_reference_that_has_no_value_stops_the_plan(account: Customer, source: Path) -> None:
    page = Component(account, source, environment={"FOLDER": "/srv", "TITLE": "{{ inputs.missing }}"})
    await page.build()
    failure = await page.failure("plan")
    assert (failure.code, failure.field) == ("unresolved_reference", "config.environment.TITLE")


async def test_what_the_vendor_has_not_signed_is_not_run(account: Customer, source: Path) -> None:
    page = Component(account, source, environment={"FOLDER": "/srv", "TITLE": "x"})
    await page.build()
    other = VendorKey.load_or_create(account.folder / "other.key")
    account.site = replace(account.site, vendor_keys=(other.public_pem,))
    assert (await page.failure("plan")).code == "signature_refused"


async def test_a_destroy_that_leaves_something_says_so(account: Customer, source: Path) -> None:
    script(source, "answer = {'state': 1}")
    page = Component(account, source)
    await page.build()
    await page.plan()
    await page.apply()
    await page.plan("plan_destroy")
    assert (await page.failure("destroy", "job_plan_destroy")).code == "destroy_incomplete"
    assert account.home("page").exists()


async def test_a_stop_lets_an_apply_end_and_force_kills_it(account: Customer, source: Path, pages: Path) -> None:
    script(
        source,
        f"begun = pathlib.Path({str(pages)!r}) / 'begun'\n"
        "if operation == 'apply':\n    begun.touch()\n    time.sleep(60)\nanswer = {'plan': 1}",
    )
    page = Component(account, source)
    await page.build()
    await page.plan()
    cancellation = Cancellation()
    job = account.job("apply", "page", plan="job_plan").model_copy(update={"config": page.config})
    running = asyncio.create_task(account.run(job, "job_apply", cancellation))
    async with asyncio.timeout(240):
        while True:
            if (pages / "begun").exists():
                break
            await asyncio.sleep(0.01)
    cancellation.request("graceful")
    await asyncio.wait([running], timeout=0.2)
    assert not running.done()
    cancellation.request("force")
    with pytest.raises(JobCancelledError):
        await running


async def test_a_plain_command_runs_once_for_each_change(account: Customer, source: Path, pages: Path) -> None:
    (source / "run.sh").write_text(
        '#!/bin/sh\necho "$EXCLAVE_OPERATION $NAME" >> "$FOLDER/log"\necho working >&2\necho "{\\"name\\": \\"$NAME\\"}"\n'
    )
    (source / "run.sh").chmod(0o755)
    environment = {"FOLDER": str(pages), "NAME": "one", "LD_PRELOAD": "/tmp/plugin/evil.so"}
    page = Component(account, source, command=["./run.sh"], interface="command", environment=environment)
    await page.build()
    assert (await page.plan()).summary.add == 1
    assert (await page.apply()).outputs == {"name": "one"}
    assert (await page.plan(job_id="job_again")).summary.empty
    page.config = page.config.model_copy(update={"environment": environment | {"NAME": "two"}})
    assert (await page.plan(job_id="job_two")).summary.change == 1
    await page.apply(plan="job_two", job_id="job_apply_two")
    await page.plan("plan_destroy")
    await page.apply("destroy", "job_plan_destroy")
    assert (pages / "log").read_text().splitlines() == ["apply one", "apply two", "destroy two"]
    assert "working" in account.log


async def test_images_are_named_where_the_customer_has_them(account: Customer, source: Path, debian: RegistryServer) -> None:
    digest = (await image(debian.client(), "team/web"))["digest"]
    manifest = await debian.client().get_manifest("team/web", digest)
    await debian.client().put_manifest("team/web", "1", manifest.data, manifest.media_type)
    name = f"{debian.url.removeprefix('http://')}/team/web:1"
    script(source, f"answer = {{'images': [{name!r}], 'state': 1, 'outputs': request.get('images', {{}})}}")
    page = Component(account, source)
    await page.build()
    await page.plan()
    host = account.registry.url.removeprefix("http://")
    assert (await page.apply()).outputs == {name: f"{host}/shop/page@{digest}"}


async def test_a_machine_without_namespaces_says_what_to_do(
    account: Customer, source: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    script(source, "answer = {'plan': 1, 'state': 1, 'outputs': {'user': os.getuid()}}")
    page = Component(account, source, environment={"FOLDER": "/srv", "TITLE": "x"})
    await page.build()
    broken = tmp_path / "inside.py"
    broken.write_text("import sys\nprint('sandbox: unshare: Operation not permitted')\nsys.exit(125)\n")
    monkeypatch.setattr("agent.sandbox.inside.__file__", str(broken))
    failure = await page.failure("plan")
    assert (failure.code, "Operation not permitted" in failure.message) == ("sandbox_impossible", True)
    account.site = replace(account.site, env={"EXCLAVE_PLUGIN_SANDBOX": "off"})
    await page.plan()
    assert (await page.apply()).outputs == {"user": os.getuid()}
