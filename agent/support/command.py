"""`exclave agent support-bundle` as its user meets it."""

import gzip
import io
import json
import os
import tarfile
from datetime import UTC, datetime
from pathlib import Path

import click

from agent.doctor.doctor import Patient, examine
from agent.outbound import OutboundError, settle_environment
from agent.support.collect import Subject, collect


def write_bundle(subject: Subject, output: Path | None, limit: float, ca_file: Path | None, *, as_json: bool) -> None:
    """Make the bundle, and say where it is. Raises click.ClickException."""
    now = datetime.now(UTC)
    name = f"exclave-support-{now:%Y%m%dT%H%M%SZ}"
    file = output or Path(f"{name}.tar.gz")
    if not (subject.home / "identity.json").exists():
        raise click.ClickException(f"--home {subject.home} has no agent; give the folder that it was started with.")
    try:
        settle_environment(os.environ, ca_file, subject.home.absolute())
    except OutboundError as error:
        click.echo(f"Warning: {error}", err=True)  # what is wrong is what the bundle is for
    doctor = examine(Patient(subject.url, subject.home, subject.registry_credentials, subject.engine), limit)
    entries = list(collect(subject, doctor, now))
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise click.ClickException(f"--output {file} is there already; name another file.") from None
    except OSError as error:
        raise click.ClickException(f"--output {file} can't be written: {error.strerror}.") from None
    with os.fdopen(descriptor, "wb") as raw:
        _pack(raw, name, entries, now)
    if as_json:
        answer = {"file": str(file), "bytes": file.stat().st_size, "entries": [entry for entry, _ in entries]}
        click.echo(json.dumps({**answer, "doctor_passed": doctor.passed}, indent=2))
    else:
        click.echo(f"{file}: {len(entries)} files, {file.stat().st_size} bytes. Look into it before you pass it on.")


def _pack(raw: io.BufferedIOBase | io.BufferedWriter, folder: str, entries: list[tuple[str, str]], now: datetime) -> None:
    with gzip.GzipFile(fileobj=raw, mode="wb") as packed, tarfile.open(fileobj=packed, mode="w") as tar:
        for name, text in entries:
            data = text.encode()
            member = tarfile.TarInfo(f"{folder}/{name}")
            member.size, member.mode, member.mtime = len(data), 0o600, int(now.timestamp())
            tar.addfile(member, io.BytesIO(data))
