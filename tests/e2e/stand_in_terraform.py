"""A stand-in for Terraform, never Terraform itself: what the install agent calls, on the command line, in tens of milliseconds.

The kill loop runs it in place of the real program because a hundred kills would take an hour with that one, which
`test_kills.py` runs. It follows Terraform's documented behaviour for one module only (`MODULE` of `kill_loop`): `version`,
`init`, `plan -out`, `show -json`, `apply <saved plan>` and `output`, with `-json` lines; a state with lineage and serial; a
lock on the state; a saved plan that is refused ("Saved plan is stale") once the state has moved; on SIGINT, state saved for
what was done so far, and exit code 1.

Every apply writes what it does to `ledger.jsonl` beside this file, one line at a time, flushed to the disk (O_APPEND, fsync):

began        the plan is being applied
ended        it was applied, its state is in place, and the end of the apply was printed
interrupted  it was stopped by SIGINT; what it had done is in the state
refused      the plan is stale: nothing was done
overlap      another command held the state's lock: two engines at once
"""

import fcntl
import json
import os
import signal
import sys
import time
import uuid
from pathlib import Path
from typing import Any, NoReturn

VERSION = "1.9.8"
LEDGER = Path(__file__).with_name("ledger.jsonl")
LONGEST = 1.5
"""Seconds of the longest apply."""


def say(text: str, **fields: Any) -> None:
    """One `-json` line."""
    print(json.dumps({"@level": "info", "@message": text, **fields}), flush=True)


def fail(summary: str) -> NoReturn:
    """An error as Terraform says it with `-json`."""
    say(f"Error: {summary}", type="diagnostic", diagnostic={"severity": "error", "summary": summary, "detail": ""})
    sys.exit(1)


def note(what: str, plan: Path, nonce: str) -> None:
    """One line for the ledger."""
    handle = os.open(LEDGER, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    line = {"what": what, "plan": str(plan), "nonce": nonce, "pid": os.getpid(), "at": time.time()}
    os.write(handle, json.dumps(line).encode() + b"\n")
    os.fsync(handle)
    os.close(handle)


def moment(longest: float) -> float:
    """A random time, in seconds."""
    return int.from_bytes(os.urandom(2), "big") / 65536 * longest


def state_file() -> Path:
    """Where the module's local backend has its state."""
    override = json.loads(Path("exclave_override.tf.json").read_text())
    return Path(override["terraform"]["backend"]["local"]["path"])


def load(file: Path) -> dict[str, Any]:
    if file.exists():
        found: dict[str, Any] = json.loads(file.read_text())
        return found
    return {"lineage": "", "serial": 0, "resources": [], "outputs": {}, "applied": []}


def save(file: Path, state: dict[str, Any]) -> None:
    aside = file.with_suffix(".new")
    with aside.open("w") as written:
        json.dump(state, written)
        written.flush()
        os.fsync(written.fileno())
    aside.replace(file)


def lock(file: Path) -> bool:
    """Hold the state until this process ends. Whether nobody else does."""
    handle = os.open(file.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def wanted(variables: dict[str, Any]) -> dict[str, Any]:
    """The module's outputs."""
    return {
        "text": {"value": variables.get("text", ""), "sensitive": False, "type": "string"},
        "secret": {"value": variables.get("secret", ""), "sensitive": True, "type": "string"},
    }


def plan(arguments: list[str]) -> None:
    options = dict(one.split("=", 1) for one in arguments if "=" in one)
    if not lock(state_file()):
        note("overlap", Path(options["-out"]), "")
        fail("Error acquiring the state lock")
    time.sleep(moment(LONGEST / 2))
    state = load(state_file())
    made = {
        "nonce": uuid.uuid4().hex,
        "lineage": state["lineage"],
        "serial": state["serial"],
        "destroy": "-destroy" in arguments,
        "variables": json.loads(Path(options["-var-file"]).read_text()),
        "prior": state,
    }
    Path(options["-out"]).write_text(json.dumps(made))
    add, change, remove = counts(made)
    text = f"Plan: {add} to add, {change} to change, {remove} to destroy."
    say(text, type="change_summary", changes={"operation": "plan", "add": add, "change": change, "remove": remove})


def actions(made: dict[str, Any]) -> list[str]:
    """What the plan does to the module's one resource."""
    there = [one["text"] for one in made["prior"]["resources"]]
    if made["destroy"]:
        return ["delete"] if there else ["no-op"]
    if not there:
        return ["create"]
    return ["no-op"] if there == [made["variables"].get("text", "")] else ["update"]


def counts(made: dict[str, Any]) -> tuple[int, int, int]:
    does = actions(made)
    return int("create" in does), int("update" in does), int("delete" in does)


def show(file: Path) -> None:
    made = json.loads(file.read_text())
    prior = made["prior"]["outputs"]
    after = {} if made["destroy"] else wanted(made["variables"])
    text = made["variables"].get("text", "")
    resource = {"actions": actions(made), "before": {"input": ""}, "after": {"input": text}, "after_unknown": {}}
    outputs = {
        name: {
            "actions": ["no-op"] if prior.get(name) == after.get(name) else ["update"],
            "before": prior.get(name, {}).get("value"),
            "after": after.get(name, {}).get("value"),
            "after_sensitive": name == "secret",
        }
        for name in {*prior, *after}
    }
    document = {
        "resource_changes": [
            {"address": "terraform_data.part", "mode": "managed", "type": "terraform_data", "name": "part", "change": resource}
        ],
        "output_changes": outputs,
        "prior_state": {"values": {"outputs": prior}},
    }
    print(json.dumps(document))


def apply(file: Path) -> None:
    made = json.loads(file.read_text())
    state_at = state_file()
    if not lock(state_at):
        note("overlap", file, made["nonce"])
        fail("Error acquiring the state lock")
    state = load(state_at)
    if (state["lineage"], state["serial"]) != (made["lineage"], made["serial"]):
        note("refused", file, made["nonce"])
        fail("Saved plan is stale")
    note("began", file, made["nonce"])
    after = {**state, "lineage": state["lineage"] or uuid.uuid4().hex, "serial": state["serial"] + 1}
    half = {**after, "resources": [] if made["destroy"] else [{"text": "half done"}]}
    done = False
    try:
        time.sleep(moment(LONGEST / 2))
        done = True
        time.sleep(moment(LONGEST / 2))
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the last object is done: nothing is left to stop
    except KeyboardInterrupt:
        if done:
            save(state_at, half)
        note("interrupted", file, made["nonce"])
        fail("execution halted")
    after["resources"] = [] if made["destroy"] else [{"text": made["variables"].get("text", "")}]
    after["outputs"] = {} if made["destroy"] else wanted(made["variables"])
    after["applied"] = [*state["applied"], made["nonce"]]
    save(state_at, after)
    add, change, remove = counts(made)
    operation = "destroy" if made["destroy"] else "apply"
    text = f"Apply complete! Resources: {add} added, {change} changed, {remove} destroyed."
    say(text, type="change_summary", changes={"operation": operation, "add": add, "change": change, "remove": remove})
    note("ended", file, made["nonce"])


def main(arguments: list[str]) -> None:
    match arguments:
        case ["version", *_]:
            print(json.dumps({"terraform_version": VERSION}))
        case ["init", *_]:
            time.sleep(moment(LONGEST / 4))
            Path(".terraform").mkdir(exist_ok=True)
            say("Terraform has been successfully initialized!")
        case ["plan", *rest]:
            plan(rest)
        case ["show", "-json", file]:
            show(Path(file))
        case ["apply", *_, file]:
            apply(Path(file))
        case ["output", *_]:
            print(json.dumps(load(state_file())["outputs"]))
        case _:
            fail(f"the stand-in doesn't know {arguments}")


if __name__ == "__main__":
    main(sys.argv[1:])
