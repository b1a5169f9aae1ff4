"""The main job, end to end, on this machine: called by `scripts/demo`."""

import argparse
import os
import re
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from stage import ROOT, Stage, StageError, end_detached, pass_on

KEPT = ROOT / ".build" / "demo"
PASSWORD = "correct-horse-battery"  # noqa: S105 - the demo's own
CHANGED = '{acme="shop.acme.example"}'
"""The customers after the change: their names, and the domain of each."""

_started = time.monotonic()


def say(text: str) -> None:
    """Tell what happens next."""
    print(f"\n[{time.monotonic() - _started:5.1f} s] {text}", flush=True)


def show(output: str) -> None:
    """Print what a command said, indented."""
    for line in output.strip().splitlines():
        pass_on(line)


_TOLD = re.compile(r"^(exclave_\S+: (Creat|Still|Modif|Destr)|Plan: |No changes|Apply complete|Destroy complete|Error|│)")


def tell() -> Callable[[str], None]:
    """Print of Terraform's lines what happens, and the outputs at the end; the listing of each attribute is left out."""
    outputs = False

    def line(text: str) -> None:
        nonlocal outputs
        outputs = outputs or text == "Outputs:"
        if outputs or _TOLD.match(text):
            pass_on(text)

    return line


def must(
    stage: Stage, *arguments: str, variables: dict[str, str] | None = None, join: str | None = None, loud: bool = True
) -> str:
    """Run Terraform; raise StageError if it fails. `join` plays that customer meanwhile."""
    done = stage.terraform(
        *arguments,
        variables={"admin_password": PASSWORD, **(variables or {})},
        line=tell() if loud else None,
        meanwhile=(lambda: stage.join(join)) if join else None,
    )
    if done.code:
        raise StageError(f"terraform {' '.join(arguments)} failed" + ("" if loud else f":\n{done.output}"))
    return done.output


def run(stage: Stage, *, keep: bool) -> None:
    """The demo."""
    say("Starting the vendor's IMS, with a build agent beside it (exclave up)")
    pass_on(f"It answers at {stage.start_ims()}")

    say("Installing the Terraform provider, and opening the quickstart (exclave provider install)")
    stage.install_provider()
    pass_on(f"The app is defined in {stage.copy_quickstart()}/main.tf")
    must(stage, "init", "-no-color", "-input=false", loud=False)

    say("terraform apply: an app, two components, a release, an install, a deployment")
    pass_on("(Meanwhile the customer: a registry and an agent of their own, started as soon as the install is there.)")
    must(stage, "apply", "-no-color", "-auto-approve", "-input=false", join="acme")
    say("What ran in the customer's account")
    for step in stage.steps("acme"):
        pass_on(step)
    pass_on("The output service.admin_login is sensitive: it stayed with the customer's agent.")

    say("terraform plan again: nothing has changed")
    must(stage, "plan", "-no-color", "-input=false", "-detailed-exitcode")

    say("One input changes, the domain: only the component that uses it is planned and applied")
    changed = {"customers": CHANGED}
    must(stage, "apply", "-no-color", "-auto-approve", "-input=false", variables=changed)
    for step in stage.steps("acme"):
        pass_on(step)
    if any(step.startswith("network") for step in stage.steps("acme")):
        raise StageError("the untouched component ran, too")

    if keep:
        stage.detach()
        say("Everything is left running. Try:")
        exclave = Path(sys.executable).with_name("exclave")
        for line in (
            f"export EXCLAVE_URL={stage.url} EXCLAVE_TOKEN_FILE={stage.token_file}",
            f"export TF_VAR_admin_password={PASSWORD} TF_VAR_customers='{CHANGED}' TF_CLI_CONFIG_FILE=/dev/null",
            f"{exclave} installs show acme",
            f"{exclave} deploys list",
            f"{exclave} events list",
            f"cd {stage.work} && {exclave} terraform -- plan",
            f"{ROOT / 'scripts' / 'demo'} --stop",
        ):
            pass_on(line)
        return

    say("terraform destroy: the service goes first, then the network it uses")
    must(stage, "destroy", "-no-color", "-auto-approve", "-input=false", variables=changed)
    show(stage.exclave("events", "verify").output)


def main() -> int:
    """Read the options, run the demo, clean up."""
    parser = argparse.ArgumentParser(prog="scripts/demo", description="Run the main job end to end on this machine.")
    parser.add_argument("--keep", action="store_true", help="leave everything running, and say what to try next")
    parser.add_argument("--stop", action="store_true", help="end what --keep left running")
    options = parser.parse_args()
    if options.stop:
        print("Stopped, and removed." if end_detached(KEPT) else "Nothing is running.")
        return 0
    os.umask(0o077)  # logs and Terraform's state have secrets in them
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.default_int_handler)
    if options.keep:
        end_detached(KEPT)
        KEPT.mkdir(parents=True, exist_ok=True)
    stage = Stage(KEPT if options.keep else Path(tempfile.mkdtemp(prefix="exclave-demo-")))
    kept = False
    try:
        run(stage, keep=options.keep)
        kept = options.keep
    except StageError as error:
        print(f"\nThe demo failed: {error}", file=sys.stderr)
        for process in stage.processes.values():
            print(f"\n--- {process.name}, last lines ---\n{process.log.read_text()[-2000:]}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped by you; cleaning up.", file=sys.stderr)
        return 130
    finally:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)  # a second Ctrl-C must not leave half of it behind
        if not kept:
            stage.remove()
    say("Done." if options.keep else "Done. Every process has ended, and the folder with all data is deleted.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
