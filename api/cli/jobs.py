"""`exclave jobs`."""

import json

import click

from api.cli.session import ims_options, run, segment, show_json, show_table
from api.contract.agents import Job
from api.contract.base import Page


@click.group("jobs")
def jobs_command() -> None:
    """Read jobs and their logs."""


@jobs_command.command("list")
@ims_options
def list_jobs(url: str, as_json: bool) -> None:
    """List the newest jobs."""
    params: dict[str, str | int] = {"limit": 50, "order": "desc"}
    found = run(url, lambda ims: ims.call("GET", "/v1/jobs", answer=Page[Job], params=params))
    if as_json:
        show_json(found)
        return
    rows = [
        [job.id, job.kind, job.state, str(job.attempt), job.failure.message.splitlines()[0] if job.failure else ""]
        for job in found.items
    ]
    show_table(["ID", "KIND", "STATE", "ATTEMPT", "FAILURE"], rows, empty="No jobs yet.")


@jobs_command.command("logs")
@click.argument("job")
@click.option("--attempt", type=click.IntRange(1), help="Which attempt; the current one if left out.")
@ims_options
def logs(job: str, attempt: int | None, url: str, as_json: bool) -> None:
    """Print a job's log, as its agent sent it: without secrets."""
    params = {"attempt": attempt} if attempt else {}
    text = run(url, lambda ims: ims.send("GET", f"/v1/jobs/{segment(job)}/logs", params=params)).text
    click.echo(json.dumps({"job": job, "log": text}) if as_json else text, nl=as_json)
