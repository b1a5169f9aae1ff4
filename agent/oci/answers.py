"""Reading a registry's answers: what a refusal means, and where the next page is."""

import httpx

from agent.oci.errors import AccessRefusedError, BadAnswerError, NotFoundError, RegistryError, TagMovedError
from agent.oci.shape import Fields, ShapeError
from agent.oci.transport import Answer


def refusal(answer: Answer, what: str) -> RegistryError:
    """The error for an answer that isn't the one hoped for. `what` is the object asked for or sent."""
    origin = f"{answer.url.scheme}://{answer.url.netloc.decode()}"
    text = f"{what}: {origin} answers {answer.status}{reason(answer)}"
    if answer.status in (401, 403):
        return AccessRefusedError(text)
    if answer.status == 404:
        return NotFoundError(text)
    if answer.status == 412:
        return TagMovedError(text)
    return BadAnswerError(text)


def next_page(answer: Answer) -> httpx.URL | None:
    """Where a list goes on, by its Link header (RFC 8288), or None at its end."""
    link = httpx.Response(answer.status, headers=answer.headers).links.get("next", {}).get("url")
    return answer.url.join(link) if link else None


def reason(answer: Answer) -> str:
    """The registry's own words about its refusal, in brackets, or nothing if it has none."""
    try:
        errors = Fields.read(answer.body).parts("errors")
        return "".join(f" ({error.text('code', '')}: {error.text('message', '')})" for error in errors[:1])
    except ShapeError:
        return ""
