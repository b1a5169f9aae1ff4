"""The conformance test for plugins: `python -m agent.plugin.conformance FOLDER COMMAND…`, or `… --entry-point NAME`.

It runs a plugin through its life, twice where that must make no difference, and prints a line for each rule. It applies for
real: give it, with `--env NAME=VALUE`, an environment in which that does no harm.
"""

import asyncio
import os
import sys
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import click

from agent.plugin.entry_point import find_entry_point
from agent.plugin.executable import ExecutablePlugin
from agent.plugin.protocol import Answer, Operation, Plugin, PluginError, Request, program_of
from api.contract.base import Json
from api.contract.source_digest import source_digest


@dataclass(frozen=True)
class Verdict:
    """Whether a plugin keeps one rule; if not, `why`."""

    rule: str
    why: str | None = None


@dataclass
class _Life:
    plugin: Plugin
    source: Path
    environment: dict[str, str]

    async def ask(self, operation: Operation, *, output: Path | None = None, state: Json = None, plan: Json = None) -> Answer:
        folders = {"source": str(self.source), "output": str(output)} if output else {}
        answer = await self.plugin.ask(
            Request(
                operation=operation, component="conformance", environment=self.environment, state=state, plan=plan, **folders
            )
        )
        if answer.error is not None:
            raise PluginError(f"{operation}: {answer.error.message}")
        return answer

    async def build(self) -> tuple[str, Answer]:
        with tempfile.TemporaryDirectory() as folder:
            answer = await self.ask("build", output=Path(folder))
            return await asyncio.to_thread(source_digest, folder), answer


async def verdicts(plugin: Plugin, source: Path, environment: dict[str, str]) -> AsyncIterator[Verdict]:
    """Each rule with its verdict. Stops at the first operation that fails, as the next ones need it."""
    life = _Life(plugin, source, environment)
    rule = "validate takes a good config"
    try:
        problems = (await life.ask("validate")).problems
        yield Verdict(rule, "; ".join(problem.message for problem in problems) or None)
        rule = "build makes the same twice"
        yield Verdict(rule, None if await life.build() == await life.build() else "two builds of one source differ")
        rule = "plan makes the same twice"
        first, second = await life.ask("plan"), await life.ask("plan")
        yield Verdict(rule, None if first == second else "two plans of one state differ")
        rule = "apply gives a state"
        applied = await life.ask("apply", plan=first.plan)
        yield Verdict(rule, None if applied.state is not None else "`state` is missing: what is there couldn't be removed")
        rule = "apply of one plan can be repeated"
        again = await life.ask("apply", plan=first.plan, state=applied.state)
        yield Verdict(rule, None if again.outputs == applied.outputs else "the outputs differ")
        rule = "plan after apply is empty"
        left = (await life.ask("plan", state=again.state)).changes
        yield Verdict(rule, ", ".join(change.address for change in left) or None)
        rule = "destroy leaves no state"
        gone = (await life.ask("destroy", state=again.state)).state
        yield Verdict(rule, None if gone is None else "`state` isn't null")
        rule = "destroy can be repeated"
        yield Verdict(rule, None if (await life.ask("destroy")).state is None else "`state` isn't null")
    except PluginError as error:
        yield Verdict(rule, str(error))


@click.command(context_settings={"ignore_unknown_options": True})
@click.option("--env", "variables", multiple=True, metavar="NAME=VALUE", help="A variable of the component's environment.")
@click.option("--entry-point", help="A plugin that is installed, instead of a command.")
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("command", nargs=-1)
def main(variables: tuple[str, ...], entry_point: str | None, folder: Path, command: tuple[str, ...]) -> None:
    """Check a plugin against the protocol. Exits with 1 if it breaks a rule."""
    environment = {name: value for name, _, value in (variable.partition("=") for variable in variables)}

    async def check() -> bool:
        good = True
        async for verdict in verdicts(_plugin(entry_point, folder, command, environment), folder.resolve(), environment):
            click.echo(f"{'ok  ' if verdict.why is None else 'FAIL'} {verdict.rule}{f': {verdict.why}' if verdict.why else ''}")
            good = good and verdict.why is None
        return good

    try:
        sys.exit(0 if asyncio.run(check()) else 1)
    except PluginError as error:
        raise click.ClickException(str(error)) from None


def _plugin(entry_point: str | None, folder: Path, command: tuple[str, ...], environment: dict[str, str]) -> Plugin:
    if entry_point:
        return find_entry_point(entry_point)
    if not command:
        raise click.UsageError("give the plugin's command, or --entry-point")
    env = {"PATH": os.environ.get("PATH", os.defpath), **environment}
    return ExecutablePlugin(
        program_of(command, folder), folder.resolve(), env, lambda line: click.echo(f"     {line}", err=True)
    )


if __name__ == "__main__":
    main()
