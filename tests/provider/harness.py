"""Acceptance tests of a provider against real engines, in steps, in the spirit of terraform-plugin-testing.

A test takes an engine (`@on_every_engine`), makes a `Workspace` for it and runs `Step`s in it, one after the other:

    @on_every_engine
    def test_a_thing_is_renamed_in_place(engine, workspace):
        workspace.run(
            Step('resource "sample_thing" "a" { name = "x" }', plan=[planned("sample_thing.a", "create")]),
            Step('resource "sample_thing" "a" { name = "y" }', plan=[planned("sample_thing.a", "update")],
                 state=[state_value("sample_thing.a", "name", value="y")]),
        )

What a `Step` does, and what ends it with a failure that holds all that the engine said:

1. calls `before`, which changes something behind Terraform's back (drift, an object that is gone);
2. writes `config` as `main.tf`, beside the workspace's `preamble`; other `files` too;
3. `plan -out`. With `error` given, the plan has to fail, or else the apply, with that error on that line, and the step ends. A
   step may expect `warnings`, too. Any other error is a failure;
4. the checks in `plan` on the plan (`show -json`; see `checks`);
5. unless `plan_only`: `apply` of that saved plan, the checks in `state`, and then **a second plan, which must be empty**
   (`empty_after=False` only where the point is that it isn't).

`Workspace.verify_import` forgets a resource and imports its object again, in a copy of the state, with the command or by an
`import` block, by id or by identity, and compares what comes of it with what was there: what terraform-plugin-testing calls
ImportStateVerify.
`Workspace.run` destroys nothing; the fixture's end does (`Workspace.destroy`), and it fails if that fails.

The provider is one that the engine finds through TF_REATTACH_PROVIDERS: in the test's own process (`served`), where a debugger
and the coverage reach it and a test may look into its store, or any other (`provider_bridge --debug`). No `init`, no lock file.
"""

import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from checks import Check, Document, _resource
from engines import Engine

from provider_bridge.framework.resource import Provider
from provider_bridge.framework.servicer import Servicer
from provider_bridge.protocol import serve

SECONDS = 120
"""How long any one command may take."""


@dataclass(frozen=True)
class Said:
    """A diagnostic that is expected: each text given has to be in what Terraform says.

    `line`: what the excerpt of the configuration shows. `address`: the whole address of the resource.
    """

    summary: str = ""
    detail: str = ""
    line: str = ""
    address: str = ""

    def matches(self, diagnostic: Document) -> bool:
        """Whether a diagnostic in `-json` form is the one."""
        code = (diagnostic.get("snippet") or {}).get("code", "")
        # Terraform wraps nothing in its JSON, but messages hold paragraphs.
        return (
            self.summary in diagnostic["summary"]
            and self.detail in " ".join(diagnostic["detail"].split())
            and self.line in code
            and self.address in ("", diagnostic.get("address"))
        )


@dataclass(frozen=True)
class Step:
    """One change of the configuration, and what must come of it. See the file's first lines."""

    config: str
    files: Mapping[str, str] = field(default_factory=dict)
    before: Callable[[], object] | None = None
    plan: Sequence[Check] = ()
    state: Sequence[Check] = ()
    error: Said | None = None
    warnings: Sequence[Said] = ()
    plan_only: bool = False
    empty_after: bool = True
    arguments: Sequence[str] = ()
    """More arguments of `plan`, such as `-refresh=false` or `-replace=…`."""


@dataclass(frozen=True)
class Run:
    """One command: its exit code, its lines of JSON, and all text."""

    code: int
    lines: list[Document]
    text: str

    def diagnostics(self, severity: str) -> list[Document]:
        """The errors or warnings."""
        found = [line["diagnostic"] for line in self.lines if "diagnostic" in line]
        return [each for each in found if each["severity"] == severity]


class Workspace:
    """A folder with a configuration and a state, and the engine that works on it.

    `environment` is added to the test's own, of which no TF_ and EXCLAVE_ variables are left; what `served`
    yields belongs there as TF_REATTACH_PROVIDERS.
    """

    def __init__(self, engine: Engine, folder: Path, preamble: str, environment: Mapping[str, str]) -> None:
        self.engine = engine
        self.folder = folder
        self.preamble = preamble
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("TF_", "EXCLAVE_"))},
            "TF_CLI_CONFIG_FILE": os.devnull,
            "TF_IN_AUTOMATION": "1",
            "CHECKPOINT_DISABLE": "1",
            **environment,
        }
        self._applied = ""
        self.write("preamble.tf", preamble)

    def write(self, name: str, text: str) -> None:
        """Write a file of the configuration."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def run(self, *steps: Step) -> None:
        """Run the steps in order. Raises AssertionError at the first thing that isn't as it should be."""
        for number, step in enumerate(steps, 1):
            try:
                self._run(step)
            except AssertionError as failure:
                raise AssertionError(f"step {number} of {len(steps)} on {self.engine}: {failure}") from failure

    def _run(self, step: Step) -> None:
        if step.before is not None:
            step.before()
        for name, text in step.files.items():
            self.write(name, text)
        self.write("main.tf", step.config)
        run = self.command("plan", "-json", "-input=false", "-out=plan", *step.arguments)
        for warning in step.warnings:
            assert any(map(warning.matches, run.diagnostics("warning"))), f"{warning} isn't in:\n{run.text}"
        if run.code == 0:
            document = self.show("plan") if step.plan else {}
            for check in step.plan:
                check(document)
            if step.plan_only:
                assert step.error is None, f"the plan doesn't fail with {step.error}"
                return
            run = self.command("apply", "-json", "-input=false", "plan")
        if step.error is not None:
            assert run.code == 1, f"nothing fails with {step.error}"
            assert any(map(step.error.matches, run.diagnostics("error"))), f"{step.error} isn't in:\n{run.text}"
            return
        assert run.code == 0, run.text
        self._applied = step.config
        state = self.state() if step.state else {}
        for check in step.state:
            check(state)
        if step.empty_after:
            again = self.command("plan", "-json", "-input=false", "-detailed-exitcode")
            assert again.code == 0, f"the plan after the apply isn't empty (exit code {again.code}):\n{again.text}"

    def verify_import(
        self, address: str, *, import_id: str = "", identity: str = "", block: bool = False, ignore: Sequence[str] = ()
    ) -> None:
        """Import the object behind `address` where the state doesn't have it, and compare with the state that there is.

        By `import_id`, with the command or, if `block`, an `import` block; or by `identity`, HCL for a block (Terraform 1.12).
        `ignore` names attributes that an import can't know: write-only versions, timeouts.
        """
        known = _resource(self.state(), address)["values"]
        with self._copy() as copy:
            copy.forget(address)
            if identity or block:
                by = f"identity = {identity}" if identity else f'id = "{import_id}"'
                copy.write("import.tf", f"import {{\n  to = {address}\n  {by}\n}}\n")
                run = copy.command("apply", "-json", "-input=false", "-auto-approve", f"-target={address}")
            else:
                run = copy.command("import", "-no-color", "-input=false", address, import_id)
            assert run.code == 0, f"import of {address}: {run.text}"
            found = _resource(copy.state(), address)["values"]
        differing = {
            key: (known.get(key), found.get(key))
            for key in known.keys() | found.keys()
            if key not in ignore and known.get(key) != found.get(key)
        }
        assert not differing, f"after import (state, import): {differing}"

    @contextmanager
    def _copy(self) -> "Iterator[Workspace]":
        with tempfile.TemporaryDirectory(dir=self.folder.parent) as folder:
            shutil.copytree(self.folder, folder, dirs_exist_ok=True)
            yield Workspace(self.engine, Path(folder), self.preamble, self._environment)

    def generated_config(self, address: str, import_id: str) -> str:
        """The configuration that the engine writes for an object that it imports by id."""
        with tempfile.TemporaryDirectory(dir=self.folder.parent) as folder:
            fresh = Workspace(self.engine, Path(folder), self.preamble, self._environment)
            fresh.write("main.tf", f'import {{\n  to = {address}\n  id = "{import_id}"\n}}\n')
            run = fresh.command("plan", "-json", "-input=false", "-generate-config-out=generated.tf")
            assert run.code == 0, run.text
            return (fresh.folder / "generated.tf").read_text()

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        """Begin a command in a process group of its own, so that a test can press Ctrl-C (`interrupt`)."""
        return subprocess.Popen(
            [*self.engine.command, *arguments],
            cwd=self.folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def finish(self, process: "subprocess.Popen[str]") -> Run:
        """Wait for the end of a command."""
        with process:
            try:
                text, _ = process.communicate(timeout=SECONDS)
            finally:
                process.kill()
        lines = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
        return Run(process.returncode, lines, text)

    def interrupt(self, process: "subprocess.Popen[str]") -> Run:
        """Press Ctrl-C: SIGINT to the whole process group. Then wait."""
        os.killpg(process.pid, signal.SIGINT)
        return self.finish(process)

    def command(self, *arguments: str) -> Run:
        """Run a command to its end, whatever that is."""
        return self.finish(self.start(*arguments))

    def show(self, *arguments: str) -> Document:
        """A plan file, or the state, as `terraform show -json` gives it."""
        run = self.command("show", "-json", *arguments)
        assert run.code == 0, run.text
        document: Document = run.lines[-1]
        return document

    def state(self) -> Document:
        """The state as it is now."""
        return self.show()

    def forget(self, address: str) -> None:
        """Take a resource out of the state, as if it had never been Terraform's."""
        run = self.command("state", "rm", address)
        assert run.code == 0, run.text

    def destroy(self) -> None:
        """Destroy everything, under the last configuration that was applied. Raises AssertionError if that fails."""
        self.write("main.tf", self._applied)
        run = self.command("destroy", "-json", "-auto-approve", "-input=false")
        assert run.code == 0, run.text


@contextmanager
def served(provider: Provider, address: str) -> Iterator[str]:
    """Serve a provider in this process. Yields the TF_REATTACH_PROVIDERS that finds it. `address` is its source address."""
    with serve.reattachable(Servicer(provider), os.environ, address) as reattach:
        yield reattach


def until(process: "subprocess.Popen[str]", seen: Callable[[], Any]) -> None:
    """Wait for a condition while a command runs. Raises AssertionError if the command ends first."""
    deadline = time.monotonic() + SECONDS
    while not seen():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline, "the condition never holds"
        time.sleep(0.01)
