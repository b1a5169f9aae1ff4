"""Deploys and teardowns as the API knows them: started, followed to their end, and told about when they fail."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from provider_bridge.framework.diagnostics import Diagnostic, RefusedError, error
from provider_bridge.framework.resource import Call
from provider_bridge.problems import Json
from provider_bridge.protocol.log import log
from provider_bridge.resources.waiting import POLL_SECONDS, Outcome, wait_for

if TYPE_CHECKING:
    from provider_bridge.client import Client

_UNDER_WAY = ("pending", "running", "cancelling")


def newest(client: "Client", install: str) -> Json | None:
    """The newest deploy of an install, or None. Raises ProblemError (404) if the install is gone."""
    found = client.get("deploys", install=install, limit=1, order="desc")["items"]
    return found[0] if found else None


def is_under_way(deploy: Json) -> bool:
    """Whether it has not ended yet."""
    return deploy["status"] in _UNDER_WAY


def follow(call: Call, client: "Client", deploy: Json, seconds: float) -> Outcome:
    """Wait until a deploy has ended, and log each step's progress."""

    def poll(last: Json) -> Json:
        return client.get("deploys", last["id"], wait=POLL_SECONDS, seen=last["version"])

    return wait_for(deploy, poll, lambda seen: not is_under_way(seen), _progress(), seconds=seconds, stop=call.stop)


def tear_down(call: Call, client: "Client", install: str, seconds: float) -> None:
    """Remove everything from an install and wait for it. Raises RefusedError if it fails or hasn't ended when the wait has.

    A teardown that is under way already, from a run that was stopped, is followed instead of starting another. Nothing is done
    where the last thing that happened is a teardown that ended well.
    """
    last = newest(client, install)
    if last is None:
        return
    if last["kind"] == "teardown" and last["status"] == "succeeded":
        return
    if last["kind"] != "teardown" or not is_under_way(last):
        last = client.create("deploys", body={"install_id": install, "kind": "teardown"})
    outcome = follow(call, client, last, seconds)
    if outcome.end != "ended":
        raise RefusedError(
            error("The teardown goes on", f"{outcome.why} {last['id']} goes on.", remedy=how_to_follow(last["id"]))
        )
    if outcome.last["status"] != "succeeded":
        raise RefusedError(*failures(outcome.last))


def how_to_follow(deploy_id: str) -> str:
    """What a user can do about a deploy that goes on without Terraform. Terraform doesn't wrap lines that are indented."""
    return (
        f"Follow it:\n  exclave deploys show {deploy_id} --follow\n"
        f"Cancel it:\n  exclave deploys cancel {deploy_id}\n"
        "Or run Terraform again: it takes up where the deploy is then."
    )


def failures(deploy: Json) -> list[Diagnostic]:
    """Why a deploy has not ended well: one error for each step that failed."""
    found = [
        _failed(f"{step['component']}: {_words(step['kind'])} failed", step["failure"])
        for step in deploy["steps"]
        if step["status"] == "failed" and step["failure"]
    ]
    if found:
        return found
    what = "The teardown" if deploy["kind"] == "teardown" else "The deploy"
    summary = f"{what} was cancelled" if deploy["status"] == "cancelled" else f"{what} failed"
    if deploy["failure"]:
        return [_failed(summary, deploy["failure"])]
    return [error(summary, f"{deploy['id']} has ended as {deploy['status']}.")]


def left_out(deploy: Json) -> list[str]:
    """The components that a deploy does not bring, or not wholly."""
    in_part = [one["component"] for one in deploy["replan"] or () if one["targets"]]
    return sorted({*deploy["left_out"], *in_part})


def outputs(deploy: Json) -> dict[str, Json]:
    """The outputs of a deploy by `component.output`, as JSON values."""
    return {
        f"{component}.{name}": value
        for component, values in sorted(deploy["outputs"].items())
        for name, value in sorted(values.items())
    }


def _failed(summary: str, failure: Json) -> Diagnostic:
    where = f"In `{failure['field']}` of the component: " if failure["field"] else ""
    return error(summary, f"{where}{failure['message']}", remedy=failure["remedy"])


def _words(kind: str) -> str:
    return kind.replace("_", " ")


def _progress() -> Callable[[Json], None]:
    """Logs, for each deploy that it is given, what each step does that it didn't do before."""
    told: dict[str, str] = {}

    def report(deploy: Json) -> None:
        for step in deploy["steps"]:
            line = f"{step['component']}: {_words(step['kind'])} {step['status']}"
            if step["waiting_for"]:
                line = f"{line} ({step['waiting_for']})"
            if step["status"] != "waiting" and told.get(step["id"]) != line:
                told[step["id"]] = line
                log("info", f"deploy {deploy['id']}: {line}")

    return report
