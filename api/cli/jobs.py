"""`exclave jobs`."""

import json
import re
import sys

import click

from api.cli.follow import follow_job, read_job
from api.cli.session import collect, ims_options, limit_option, run, segment, show_json, show_table
from api.client import ImsClient
from api.contract.agents import Job
from api.contract.logs import LogPrune, LogsPruned

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@click.group("jobs")
def jobs_command() -> None:
    """Read jobs and their logs."""


@jobs_command.command("list")
@limit_option(50)
@ims_options
def list_jobs(limit: int, url: str, as_json: bool) -> None:
    """List the newest jobs."""
    found = run(url, lambda ims: collect(ims, "/v1/jobs", Job, limit, {"order": "desc"}))
    if as_json:
        show_json(found)
        return
    rows = [
        [
            job.id,
            job.kind,
            job.install_name or job.install_id or "-",
            job.state,
            str(job.attempt),
            job.failure.message.splitlines()[0] if job.failure else "",
        ]
        for job in found.items
    ]
    show_table(["ID", "KIND", "INSTALL", "STATE", "ATTEMPT", "FAILURE"], rows, empty="No jobs yet.")


@jobs_command.command("logs")
@click.argument("job")
@click.option("--attempt", type=click.IntRange(1), help="Which attempt; the current one if left out.")
@click.option("--follow", is_flag=True, help="Print lines as they come, until the job has ended.")
@ims_options
def logs(job: str, attempt: int | None, follow: bool, url: str, as_json: bool) -> None:
    """Print a job's log, as its agent sent it: without secrets.

    With --follow, exit code 1 says that the job did not succeed; with --json, too, each piece is one line of JSON.
    """
    if not follow:
        text = run(url, lambda ims: read_job(ims, job, attempt))
        click.echo(json.dumps({"job": job, "log": text}) if as_json else text, nl=as_json)
        return

    def show(text: str) -> None:
        click.echo(json.dumps({"job": job, "log": text}) if as_json else text, nl=as_json)

    end = run(url, lambda ims: follow_job(ims, job, attempt, show, lambda note: click.echo(f"[{note}]", err=True)))
    if as_json:
        click.echo(json.dumps({"job": job, "outcome": end.outcome, "message": end.message}))
    else:
        click.echo(f"[{': '.join(filter(None, [end.outcome, end.message]))}]", err=True)
    sys.exit(end.outcome != "succeeded")


@jobs_command.command("show")
@click.argument("job")
@ims_options
def show_job(job: str, url: str, as_json: bool) -> None:
    """Show one job."""
    found = run(url, lambda ims: ims.call("GET", f"/v1/jobs/{segment(job)}", answer=Job))
    if as_json:
        show_json(found)
        return
    click.echo(f"{found.kind} {found.id}: {found.state}, attempt {found.attempt}, agent {found.agent_id or '-'}")
    if found.failure:
        click.echo(f"{found.failure.message}\n{found.failure.remedy}".rstrip())


@jobs_command.command("prune-logs")
@click.option("--older-than", required=True, help="Since the job's end, such as 30d, 12h or 90m.")
@ims_options
def prune_logs(older_than: str, url: str, as_json: bool) -> None:
    """Remove the logs of jobs that ended long ago. Logs of open jobs stay."""
    match = re.fullmatch(r"(\d{1,6})([smhd])", older_than)
    if match is None:
        raise click.UsageError(f"--older-than {older_than!r} is not a time; write it like 30d, 12h or 90m")
    body = LogPrune(older_than_seconds=int(match[1]) * _SECONDS[match[2]])

    async def work(ims: ImsClient) -> LogsPruned:
        jobs = chunks = size = 0
        while True:
            done = await ims.call("POST", "/v1/jobs/prune-logs", body=body, answer=LogsPruned, timeout=120)
            jobs, chunks, size = jobs + done.jobs, chunks + done.chunks, size + done.bytes
            if not done.more:
                return done.model_copy(update={"jobs": jobs, "chunks": chunks, "bytes": size})

    found = run(url, work)
    if as_json:
        show_json(found)
    else:
        click.echo(f"Removed the logs of {found.jobs} jobs: {found.chunks} chunks, {found.bytes / 1e6:.1f} MB of text.")
