"""Start a build agent from what its user typed."""

import os
import threading
from collections.abc import Sequence
from pathlib import Path

from agent.build_executor import BuildExecutor
from agent.bundle.hcl import warm_up
from agent.identity import Home
from agent.job import Executor
from agent.oci.kms_key import open_key
from agent.oci.vendor_key import VendorKey
from agent.options import AgentOptions
from agent.secrets.resolve import ENV_PREFIX, Resolver
from agent.serve import Machine
from agent.start import run_agent
from agent.trust.notices import Notices, read_revocations


def start_build_agent(
    options: AgentOptions,
    signing_key: str | None = None,
    allowed_sources: Sequence[str] = (),
    previous_key: str | None = None,
    revoked: Path | None = None,
) -> None:
    """Run a build agent until it is told to stop. `signing_key` as in `open_key`, `allowed_sources` as in `check_origins`.

    `previous_key` and the file `revoked` are what it says with its signatures, see `Notices`. Raises click.ClickException.
    """
    opened: list[VendorKey] = []

    def key(home: Home) -> VendorKey:
        if not opened:
            opened.append(open_key(signing_key, home.folder))
        return opened[0]

    def executor(machine: Machine) -> Executor:
        work = machine.home.folder / "builds"
        return BuildExecutor(
            work,
            key(machine.home),
            machine.registries,
            options["engine"],
            os.environ,
            sealing_key=machine.identity.sealing_key,
            resolver=Resolver(os.environ, ENV_PREFIX, machine.home.folder / "secrets"),
            allowed_sources=allowed_sources,
            notices=Notices(
                previous=open_key(previous_key, machine.home.folder) if previous_key else None,
                revoked=read_revocations(revoked) if revoked else (),
            ),
        )

    threading.Thread(target=warm_up, name="warm-up", daemon=True).start()  # or the first build waits a second for it
    run_agent("build", options, lambda home: key(home).public_pem, executor)
