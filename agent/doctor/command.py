"""`exclave agent doctor` as its user meets it."""

import os
import re
import sys
import tempfile
from pathlib import Path

import click

from agent.doctor.doctor import Patient, as_text, examine
from agent.outbound import OutboundError, settle_environment


def doctor(patient: Patient, limit: float, ca_file: Path | None, *, as_json: bool) -> None:
    """Print the report; exit code 1 if something failed. Raises click.UsageError or click.ClickException."""
    if patient.url is not None and not re.match(r"https?://[^/\s]", patient.url):
        raise click.UsageError(f"--url {patient.url!r} is not an address; write it like https://ims.example.com")
    with tempfile.TemporaryDirectory(prefix="exclave-doctor-") as folder:  # the agent's own isn't touched
        try:
            settle_environment(os.environ, ca_file, Path(folder))
        except OutboundError as error:
            if ca_file is not None:
                raise click.ClickException(str(error)) from None
            # Else it is the environment's: the checks say so.
        report = examine(patient, limit)
    click.echo(report.model_dump_json(indent=2) if as_json else as_text(report))
    if not report.passed:
        sys.exit(1)
