"""Take known secrets out of every text that leaves the agent: log chunks, failures, plan summaries, outputs.

A secret is found by its value, wherever it turns up: as it is, URL-encoded, escaped in JSON (also twice), and in base64, also
as a part of something longer (the password in a Basic header) and broken into lines. So are the lines of one that has
several, and the texts in one that is a JSON document. Values shorter than 4 characters are not taken out: they would match
everywhere and hide nothing. The customer's own patterns are looked for in each line by itself.
"""

import base64
import contextlib
import json
import re
from collections.abc import Iterable, Iterator
from urllib.parse import quote, quote_plus

from api.contract.agents import ApplyResult, JobResult, PlanResult
from api.contract.base import Failure, Json
from api.contract.component_health import MAX_REASON, ComponentHealth, checked, cut
from api.contract.resources import PlannedChange, ValueChange

PLACEHOLDER = "(sensitive)"
MINIMUM_LENGTH = 4
_MINIMUM_PART = 8
"""Of a line of a secret, or a text in one: shorter ones, such as a key's name, would be taken out everywhere."""

_WRAPS = (64, 76)
"""Where base64 is broken into lines: by PEM, and by MIME and the command `base64`."""

_PERCENT = re.compile(r"%[0-9A-F]{2}")

_LEFT_BY_OTHERS = ("", "/", "$&+,;=", "$&+,;=:@", "!'()*", "!$&'()*+,;=")
"""What URL encoders leave as it is: Python, Go (user name and password, path), JavaScript, RFC 3986's sub-delims."""


class Redactor:
    """Knows the secrets of a job, and learns more of them as the job goes on."""

    def __init__(self, values: Iterable[Json] = ()) -> None:
        self._forms: set[str] = set()
        self._by_first: dict[str, list[str]] = {}
        self._longest = 0
        self._patterns: list[re.Pattern[str]] = []
        for value in values:
            self.learn(value)

    def learn(self, value: Json) -> None:
        """Take `value` for secret: a text, a number, or each of these in a list or a map."""
        for text in _texts(value):
            for form in _forms(text):
                if form not in self._forms:
                    self._forms.add(form)
                    self._by_first.setdefault(form[0], []).append(form)
                    self._longest = max(self._longest, len(form))

    def hide(self, pattern: re.Pattern[str]) -> None:
        """Take everything for secret that the pattern finds in a line."""
        self._patterns.append(pattern)

    def text(self, text: str) -> str:
        """`text` with `(sensitive)` in place of every secret."""
        parts: list[str] = []
        at = 0
        for start, end in self._spans(text):
            parts += [text[at:start], PLACEHOLDER]
            at = end
        return "".join([*parts, text[at:]])

    def json(self, value: Json) -> Json:
        """A JSON value with every text in it redacted, keys included; a number that is a secret becomes a text."""
        match value:
            case str():
                return self.text(value)
            case list():
                return [self.json(item) for item in value]
            case dict():
                return {self.text(str(key)): self.json(item) for key, item in value.items()}
            case int() | float() if not isinstance(value, bool) and json.dumps(value) in self._forms:
                return PLACEHOLDER
        return value

    def failure(self, failure: Failure) -> Failure:
        """A failure with its texts redacted."""
        return failure.model_copy(update={"message": self.text(failure.message), "remedy": self.text(failure.remedy)})

    def result(self, result: JobResult) -> JobResult:
        """A job's result with its free texts redacted."""
        match result:
            case ApplyResult():
                return result.model_copy(update={"outputs": self.json(result.outputs), "health": self._health(result.health)})
            case PlanResult(summary=summary):
                resources = [
                    PlannedChange(
                        address=self.text(change.address),
                        actions=change.actions,
                        attributes=[self.text(name) for name in change.attributes],
                        previous_address=self.text(change.previous_address) if change.previous_address else None,
                        values={self.text(name): self._value(each) for name, each in change.values.items()},
                    )
                    for change in summary.resources
                ]
                redacted = summary.model_copy(update={"resources": resources})
                return result.model_copy(update={"summary": redacted, "health": self._health(result.health)})
        return result

    def _value(self, change: ValueChange) -> ValueChange:
        before, after = (None if each is None else self.text(each) for each in (change.before, change.after))
        return change.model_copy(update={"before": before, "after": after})

    def _health(self, health: ComponentHealth | None) -> ComponentHealth | None:
        if health is None:
            return None
        checks = [checked(self.text(each.name), each.kind, each.status, self.text(each.reason)) for each in health.checks]
        return health.model_copy(update={"reason": cut(self.text(health.reason), MAX_REASON), "checks": checks})

    def stream(self) -> "RedactingStream":
        """A redaction of one text that comes in pieces."""
        return RedactingStream(self)

    def _spans(self, text: str) -> list[tuple[int, int]]:
        """Where secrets stand, in order; those that overlap or touch are one."""
        found: list[tuple[int, int]] = []
        for form in self._forms:
            at = text.find(form)
            while at >= 0:
                found.append((at, at + len(form)))
                at = text.find(form, at + 1)
        if self._patterns:
            found += self._matches(text)
        merged: list[tuple[int, int]] = []
        for start, end in sorted(found):
            if merged and start <= merged[-1][1]:
                merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
            else:
                merged.append((start, end))
        return merged

    def _matches(self, text: str) -> Iterator[tuple[int, int]]:
        begins = 0
        for line in text.split("\n"):
            for pattern in self._patterns:
                yield from ((begins + found.start(), begins + found.end()) for found in pattern.finditer(line) if found[0])
            begins += len(line) + 1

    def settled(self, text: str) -> int:
        """How much of `text` can't be touched by what may still follow it."""
        for at in range(max(0, len(text) - self._longest), len(text)):
            if (begin := self._by_first.get(text[at])) is None:
                continue
            tail = text[at:]
            if any(form.startswith(tail) for form in begin):
                cut = at
                break
        else:
            cut = len(text)
        if self._patterns:
            cut = min(cut, text.rfind("\n") + 1)
        # A secret that ends at the cut, or goes across it, may grow into one span with what follows.
        return min([cut, *(start for start, end in self._spans(text) if end >= cut)])


class RedactingStream:
    """One text that comes in pieces, redacted as if it had come whole."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._held = ""

    def feed(self, piece: str) -> str:
        """The next redacted part. A tail that may be the beginning of a secret is held back."""
        text = self._held + piece
        cut = self._redactor.settled(text)
        self._held = text[cut:]
        return self._redactor.text(text[:cut])

    def finish(self) -> str:
        """What was held back. Nothing may follow."""
        held, self._held = self._held, ""
        return self._redactor.text(held)


def _texts(value: Json) -> Iterator[str]:
    match value:
        case str():
            yield value
            yield value.strip()  # a file's end of line seldom comes along
            yield from (part for part in _parts(value) if len(part) >= _MINIMUM_PART)
        case bool() | None:
            return
        case int() | float():
            yield json.dumps(value)
        case list():
            for item in value:
                yield from _texts(item)
        case dict():
            for item in value.values():
                yield from _texts(item)


def _parts(text: str) -> Iterator[str]:
    """What of a secret text may turn up alone."""
    lines = text.splitlines()
    if len(lines) > 1:
        # A key in PEM is printed line by line, each with a prefix of its own.
        yield from lines
        yield from (line.strip() for line in lines)
    if text.lstrip().startswith(("{", "[", '"')):
        with contextlib.suppress(ValueError, RecursionError):
            yield from _texts(json.loads(text))


def _forms(text: str) -> Iterator[str]:
    if len(text) < MINIMUM_LENGTH:
        return
    escaped = json.dumps(text, ensure_ascii=False)[1:-1]
    yield from (text, escaped, json.dumps(text)[1:-1])
    # Terraform's jsonencode escapes these three as well.
    yield escaped.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    yield json.dumps(escaped, ensure_ascii=False)[1:-1]  # a JSON document in another
    for form in (*(quote(text, safe=safe) for safe in _LEFT_BY_OTHERS), quote_plus(text)):
        yield form
        yield _PERCENT.sub(lambda found: found[0].lower(), form)
    yield from _in_base64(text.encode())


def _in_base64(data: bytes) -> Iterator[str]:
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        whole = encode(data).decode().rstrip("=")
        yield whole
        for width in _WRAPS:
            yield from (line for at in range(0, len(whole), width) if len(line := whole[at : at + width]) >= _MINIMUM_PART)
        for before in range(3):
            # The characters that don't depend on what stands before it, which has a length of so many bytes beyond three each,
            # nor on what stands after it.
            inside = encode(bytes(before) + data).decode()[-(-before * 8 // 6) : (before + len(data)) * 8 // 6]
            if len(inside) >= MINIMUM_LENGTH:
                yield inside
