"""Following logs: one job's, or those of a deploy's steps side by side; a connection that breaks is taken up where it was."""

import asyncio
from collections.abc import Callable

from api.cli.session import segment
from api.client import ApiError, ImsClient, UnreachableError
from api.contract.logs import LogEnd
from api.contract.problems import LogPrunedError
from api.contract.resources import Deploy, Step
from api.event_stream import SentEvent, read_events

_WAIT_SECONDS = 20
_RETRY_SECONDS = 1.0
_GIVE_UP_SECONDS = 120.0
Print = Callable[[str], None]


async def follow_job(ims: ImsClient, job: str, attempt: int | None, text: Print, note: Print) -> LogEnd:
    """Give `text` the log as it comes and `note` what happens to it, until the job has ended.

    The first connection must succeed; later ones are tried again until the IMS has been away for two minutes.
    """
    params = {"attempt": attempt} if attempt else {}
    last_id, first, away = "", True, 0.0
    while True:
        headers = {"Last-Event-ID": last_id} if last_id else {}
        try:
            async with ims.lines(f"/v1/jobs/{segment(job)}/logs/stream", params=params, headers=headers) as lines:
                first, away = False, 0.0
                async for event in read_events(lines):
                    last_id = event.id
                    if event.event == "end":
                        return LogEnd.model_validate_json(event.data)
                    _show(event, text, note)
        except (UnreachableError, ApiError) as error:
            if first or not error.retryable or away >= _GIVE_UP_SECONDS:
                raise
        away += _RETRY_SECONDS  # also when the server ended the stream by stopping
        await asyncio.sleep(_RETRY_SECONDS)


def _show(event: SentEvent, text: Print, note: Print) -> None:
    if event.event == "log":
        text(event.data)
    elif event.event == "attempt" and event.data != "1":
        note(f"attempt {event.data} begins")


async def read_job(ims: ImsClient, job: str, attempt: int | None) -> str:
    """What there is of a log, in as many parts as it has."""
    parts: list[str] = []
    offset = 0
    while True:
        params = {"offset": offset} | ({"attempt": attempt} if attempt else {})
        answer = await ims.send("GET", f"/v1/jobs/{segment(job)}/logs", params=params)
        if not answer.content:
            return "".join(parts)
        parts.append(answer.text)
        offset = int(answer.headers["X-Next-Offset"])


class _Lines:
    """Prints whole lines under one prefix, so that those of jobs that run at once don't mix."""

    def __init__(self, prefix: str, out: Print) -> None:
        self._prefix = prefix
        self._out = out
        self._left = ""

    def text(self, text: str) -> None:
        *lines, self._left = (self._left + text).split("\n")
        for line in lines:
            self._out(f"{self._prefix} | {line}")

    def end(self) -> None:
        if self._left:
            self.text("\n")


def _wanted(step: Step, component: str | None) -> bool:
    return step.job_id is not None and component in (None, step.component)


async def read_deploy(ims: ImsClient, deploy: str, component: str | None, out: Print) -> Deploy:
    """Print the logs that a deploy's steps have by now, one step after the other."""
    found = await ims.call("GET", f"/v1/deploys/{segment(deploy)}", answer=Deploy)
    for step in found.steps:
        if _wanted(step, component):
            lines = _Lines(f"{step.component} {step.kind}", out)
            try:
                lines.text(await read_job(ims, step.job_id or "", None))
            except ApiError as error:
                if error.code != LogPrunedError.code:
                    raise
                lines.text(f"[{error.problem.detail}]\n")
            lines.end()
    return found


async def follow_deploy(ims: ImsClient, deploy: str, component: str | None, out: Print) -> Deploy:
    """Print the logs of a deploy's steps as they come, until the deploy has ended."""
    followed: dict[str, asyncio.Task[None]] = {}
    seen: int | None = None
    path = f"/v1/deploys/{segment(deploy)}"
    try:
        while True:
            params = {"wait": _WAIT_SECONDS, "seen": seen} if seen is not None else {}
            found = await ims.call("GET", path, answer=Deploy, params=params, timeout=_WAIT_SECONDS + 10)
            if found.ended_at is not None and not followed:
                return await read_deploy(ims, deploy, component, out)
            for step in found.steps:
                if _wanted(step, component) and step.job_id and step.job_id not in followed:
                    followed[step.job_id] = asyncio.create_task(_follow_step(ims, step, out))
            if found.ended_at is not None:
                for task in followed.values():
                    await task
                return found
            for task in followed.values():
                if task.done():
                    task.result()
            seen = found.version
    finally:
        for task in followed.values():
            task.cancel()


async def _follow_step(ims: ImsClient, step: Step, out: Print) -> None:
    prefix = f"{step.component} {step.kind}"
    lines = _Lines(prefix, out)
    end = await follow_job(ims, step.job_id or "", None, lines.text, lambda note: out(f"{prefix} | [{note}]"))
    lines.end()
    out(f"{prefix} | [{': '.join(filter(None, [end.outcome, end.message]))}]")
