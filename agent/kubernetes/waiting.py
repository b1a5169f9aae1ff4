"""Wait until objects are ready, or gone; and say why not, from their pods and events."""

import asyncio
import time
from collections.abc import Callable, Iterable

from agent.failure import CodedError
from agent.kubernetes.at_once import some_at_once
from agent.kubernetes.client import KubernetesClient
from agent.kubernetes.objects import Obj, Ref, metadata
from agent.kubernetes.readiness import Readiness, pod_trouble, readiness

_FIRST_SECONDS = 0.1
_LONGEST_SECONDS = 2.0
_SAY_SECONDS = 15.0
_WORKLOADS = frozenset({"Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job"})


class NotReadyError(CodedError):
    """What was applied doesn't run."""

    code = "not_ready"
    retryable = True
    remedy = "Correct what the message names; then deploy again. What was applied stays, and is looked at again then."


class DeletionStuckError(CodedError):
    """An object is marked as deleted, and still there."""

    code = "destroy_incomplete"
    retryable = True


async def wait_ready(
    client: KubernetesClient, refs: Iterable[Ref], timeout: float, log: Callable[[str], None]
) -> dict[Ref, Obj]:
    """Wait until all are ready; gives the objects as they are then.

    Raises NotReadyError: at once for one that won't become ready by itself, else after `timeout` seconds.
    """
    left = dict.fromkeys(refs)
    found: dict[Ref, Obj] = {}
    pace = _Pace(timeout, log)
    while True:
        waited: dict[Ref, Readiness] = {}
        for ref, obj in zip(left, await some_at_once(client.get(ref) for ref in left), strict=True):
            seen = readiness(obj) if obj is not None else Readiness("progressing", "it isn't there")
            if obj is not None:
                found[ref] = obj
            if not seen.ready:
                waited[ref] = seen
            if seen.state == "failed":
                raise NotReadyError(f"{ref} isn't ready: {await why_not(client, ref, obj, seen)}")
        if not waited:
            return found
        left = dict.fromkeys(waited)
        if not await pace.pause("waiting until ready", [f"{ref} ({seen.reason})" for ref, seen in waited.items()]):
            said = [f"{ref} isn't ready: {await why_not(client, ref, found.get(ref), seen)}" for ref, seen in waited.items()]
            raise NotReadyError(
                f"after {timeout:g} s, " + "; ".join(said[:5]) + (f"; and {len(said) - 5} more" if said[5:] else "")
            )


async def wait_gone(client: KubernetesClient, refs: Iterable[Ref], timeout: float, log: Callable[[str], None]) -> None:
    """Wait until none is there any more. Raises DeletionStuckError, which says what holds them."""
    left = list(refs)
    pace = _Pace(timeout, log)
    while True:
        found = zip(left, await some_at_once(client.get(ref) for ref in left), strict=True)
        there = {ref: obj for ref, obj in found if obj is not None}
        if not there:
            return
        left = list(there)
        if not await pace.pause("waiting until gone", [str(ref) for ref in left]):
            held = "; ".join(f"{ref}{_held(obj)}" for ref, obj in list(there.items())[:5])
            raise DeletionStuckError(
                f"after {timeout:g} s, there still {'is' if len(there) == 1 else 'are'} {held}",
                remedy="See to it that what owns the finalizers runs; or, if it is gone for good, take the finalizers out. "
                "Then deploy again.",
            )


class _Pace:
    """Longer and longer pauses until a time is over."""

    def __init__(self, timeout: float, log: Callable[[str], None]) -> None:
        self._ends = time.monotonic() + timeout
        self._log = log
        self._seconds = _FIRST_SECONDS
        self._says = time.monotonic() + _SAY_SECONDS

    async def pause(self, doing: str, what: list[str]) -> bool:
        """Wait a little; False, at once, when the time is over."""
        now = time.monotonic()
        if now >= self._ends:
            return False
        if now >= self._says:
            self._says = now + _SAY_SECONDS
            self._log(f"{doing}: {', '.join(what[:5])}" + (f" and {len(what) - 5} more" if what[5:] else ""))
        await asyncio.sleep(min(self._seconds, self._ends - now))
        self._seconds = min(self._seconds * 1.5, _LONGEST_SECONDS)
        return True


def _held(obj: Obj) -> str:
    finalizers = metadata(obj).get("finalizers") or []
    return f", held by its finalizers {', '.join(finalizers)}" if finalizers else ""


async def why_not(client: KubernetesClient, ref: Ref, obj: Obj | None, seen: Readiness) -> str:
    """The reason, with what pods and events say; without these where the agent may not look at them."""
    if obj is None:
        return seen.reason
    parts = [seen.reason]
    try:
        if ref.kind in _WORKLOADS:
            parts.append(await _pods(client, ref, obj))
        if len(parts) < 2 or not parts[1]:
            parts.append(await _event(client, ref, obj))
    except CodedError as error:
        parts.append(f"(why can't be looked up: {error})")
    return "; ".join(dict.fromkeys(part for part in parts if part))


async def _pods(client: KubernetesClient, ref: Ref, obj: Obj) -> str:
    """The first pod with trouble, newest version first."""
    wanted = (((obj.get("spec") or {}).get("selector") or {}).get("matchLabels")) or {}
    if not wanted:
        return ""
    labels = ",".join(f"{name}={value}" for name, value in wanted.items())
    pods = await client.list("v1", "Pod", ref.namespace, labels)
    for pod in sorted(pods, key=lambda pod: str(metadata(pod).get("creationTimestamp")), reverse=True):
        trouble = pod_trouble(pod)
        if trouble:
            return f"Pod {metadata(pod)['name']}: {trouble}"
    return ""


async def _event(client: KubernetesClient, ref: Ref, obj: Obj) -> str:
    """The last warning about the object itself."""
    events = await client.list(
        "v1", "Event", ref.namespace or "default", fields=f"involvedObject.uid={metadata(obj).get('uid')}"
    )
    warnings = [event for event in events if event.get("type") == "Warning"]
    if not warnings:
        return ""
    last = max(warnings, key=lambda event: str(event.get("lastTimestamp") or metadata(event).get("creationTimestamp")))
    return f"{last.get('reason')}: {last.get('message')}"
