"""The IMS's REST API over `http.client`: connections that are kept, retries, errors as exceptions.

Imported only once the provider is configured, because half of a command's provider processes never speak HTTP. All methods
may be called from many threads at once.
"""

import http.client
import json
import threading
import time
import uuid
from collections.abc import Callable
from urllib.parse import SplitResult, quote, urlencode, urlsplit

from provider_bridge.creates import Creates
from provider_bridge.problems import FieldProblem, Json, ProblemError, StoppedError, UnreachableError

_PROBLEM_TYPE_PREFIX = "urn:exclave:problem:"
_REQUEST_SECONDS = 30.0
_RETRY_STATUS = frozenset({429, 502, 503, 504})

# An IMS that has answered before is being restarted and worth waiting for; one that never has is probably a wrong URL.
_PATIENCE_SECONDS = 60.0
_FIRST_PATIENCE_SECONDS = 3.0

# Waits of 0.25, 0.5, 1, 2, 4, 5, 5 … seconds, or what Retry-After says.
_FIRST_WAIT_SECONDS = 0.25
_LONGEST_WAIT_SECONDS = 5.0


class Client:
    """One Terraform run's way to the IMS. `stop` ends waits between retries, never a request that is under way."""

    def __init__(
        self,
        url: str,
        token: str,
        stop: threading.Event,
        creates: Creates | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.url = url.rstrip("/")
        self._address: SplitResult = urlsplit(self.url)
        self._headers = {
            "Authorization": f"Bearer {token}",
            "Accept": "application/json",
            "User-Agent": "terraform-provider-exclave",
        }
        self._stop = stop
        self._creates = creates
        self._clock = clock
        self._idle: list[http.client.HTTPConnection] = []
        self._closed = False
        self._answered = False
        self._gave_up = False

    def close(self) -> None:
        """The run has ended well: close the connections that are kept; those in use close when their request ends."""
        self._closed = True
        if self._creates is not None:
            self._creates.close()
        while self._idle:
            self._idle.pop().close()

    def get(self, *parts: str, **query: str | int) -> Json:
        """Read `/v1/<parts>?<query>`."""
        return self._request("GET", parts, query)

    def create(self, *parts: str, body: Json) -> Json:
        """Post `body` to a collection. Tried again safely: the key says that it is the same request.

        Also by the run after one that was killed, if `body` has a name: see `Creates`.
        """
        name, key = body.get("name"), str(uuid.uuid4())
        if self._creates is not None and name:
            earlier = self._creates.take(parts, name)
            made = None if earlier is None else self._made_earlier(parts, body, earlier)
            if made is not None:
                return made
        return self._create(parts, body, key)

    def _create(self, parts: tuple[str, ...], body: Json, key: str) -> Json:
        name = body.get("name")
        if self._creates is None or not name:
            return self._request("POST", parts, {}, body, {"Idempotency-Key": key})
        self._creates.note(parts, name, key)
        try:
            made = self._request("POST", parts, {}, body, {"Idempotency-Key": key})
        except ProblemError as problem:
            if problem.status < 500:
                self._creates.refused(key)
            else:
                self._creates.answered(key)
            raise
        self._creates.answered(key)
        return made

    def _made_earlier(self, parts: tuple[str, ...], body: Json, key: str) -> Json | None:
        """The answer to a create that was sent under this key before; None if what it made isn't there any more as it was."""
        try:
            made = self._create(parts, body, key)
            return made if self.get(*parts, made["id"]).get("version") == made.get("version") else None
        except ProblemError as problem:
            if problem.is_not_there or problem.status == 409:
                return None
            raise

    def create_once(self, *parts: str, body: Json) -> Json:
        """The same where the answer has a secret, which the IMS doesn't keep to answer a second time: without a key."""
        return self._request("POST", parts, {}, body)

    def put(self, *parts: str, body: Json, version: int | None = None) -> Json:
        """Replace an object; with `version`, only if that is still the object's."""
        return self._request("PUT", parts, {}, body, {} if version is None else {"If-Match": f'"{version}"'})

    def delete(self, *parts: str) -> None:
        """Delete an object."""
        self._request("DELETE", parts, {})

    def check(self, *parts: str, body: Json) -> Json:
        """Have the IMS look at something, by a POST that stores nothing."""
        return self._request("POST", parts, {}, body)

    def check_create(self, *parts: str, body: Json) -> Json:
        """Have the IMS check what `create` would send, and return what it would answer; nothing is stored.

        None if the name is taken by what a run before this one may have made, which `create` finds out.
        """
        try:
            return self._request("POST", parts, {"dry_run": "true"}, body)
        except ProblemError as problem:
            if problem.code == "name_taken" and self._creates is not None and self._creates.begun(parts, body.get("name", "")):
                return None
            raise

    def check_put(self, *parts: str, body: Json) -> Json:
        """Have the IMS check what `put` would send, and return what it would answer; nothing is stored."""
        return self._request("PUT", parts, {"dry_run": "true"}, body)

    def _request(
        self,
        method: str,
        parts: tuple[str, ...],
        query: dict[str, str | int],
        body: Json = None,
        headers: dict[str, str] | None = None,
    ) -> Json:
        target = f"{self._address.path}/v1/{'/'.join(quote(part, safe='') for part in parts)}"
        if query:
            target = f"{target}?{urlencode(query)}"
        payload = None if body is None else json.dumps(body).encode()
        all_headers = {**self._headers, **(headers or {})}
        if payload is not None:
            all_headers["Content-Type"] = "application/json"
        started = self._clock()
        wait = _FIRST_WAIT_SECONDS
        while True:
            asked_wait = 0.0
            try:
                status, answer_headers, answer = self._once(method, target, payload, all_headers)
            except (OSError, http.client.HTTPException) as error:
                failure: Exception = UnreachableError(f"{self.url} gives no answer: {_reason(error)}")
                failure.__cause__ = error
            else:
                self._answered, self._gave_up = True, False
                if status < 300:
                    return _read_json(status, answer)
                failure = _problem(status, answer)
                if status not in _RETRY_STATUS:
                    raise failure
                asked_wait = _retry_after(answer_headers)
            delay = max(wait, asked_wait)
            if self._clock() - started + delay > self._patience():
                self._gave_up = True
                raise failure
            if self._stop.wait(delay):
                raise StoppedError from failure
            wait = min(wait * 2, _LONGEST_WAIT_SECONDS)

    def _patience(self) -> float:
        """Seconds to keep trying. One call waits for an IMS that is away; those after it don't wait all over again."""
        if self._gave_up:
            return 0
        return _PATIENCE_SECONDS if self._answered else _FIRST_PATIENCE_SECONDS

    def _once(
        self, method: str, target: str, payload: bytes | None, headers: dict[str, str]
    ) -> tuple[int, http.client.HTTPMessage, bytes]:
        """One request over a kept connection if there is one; a kept one that turns out to be closed is replaced at once."""
        while True:
            try:
                connection, kept = self._idle.pop(), True
            except IndexError:
                connection, kept = self._connect(), False
            try:
                connection.request(method, target, payload, headers)
                response = connection.getresponse()
                content = response.read()
            except (ConnectionError, http.client.BadStatusLine):
                connection.close()
                if kept:
                    continue
                raise
            except BaseException:
                connection.close()
                raise
            if self._closed:
                connection.close()
            else:
                self._idle.append(connection)
            return response.status, response.headers, content

    def _connect(self) -> http.client.HTTPConnection:
        if self._address.scheme == "https":
            return http.client.HTTPSConnection(self._address.netloc, timeout=_REQUEST_SECONDS)
        return http.client.HTTPConnection(self._address.netloc, timeout=_REQUEST_SECONDS)


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__


def _retry_after(headers: http.client.HTTPMessage) -> float:
    """Seconds that the answer asks to wait (RFC 9110, section 10.2.3); a date, which the IMS never sends, counts as none."""
    try:
        return float(headers.get("Retry-After", "0"))
    except ValueError:
        return 0.0


def _read_json(status: int, answer: bytes) -> Json:
    try:
        return json.loads(answer) if answer else None
    except ValueError:
        raise _problem(status, answer) from None


def _problem(status: int, answer: bytes) -> Exception:
    """The exception for an error answer. One that isn't a problem document comes from something in between, such as a proxy."""
    try:
        document = json.loads(answer)
        return ProblemError(
            status,
            document["type"].removeprefix(_PROBLEM_TYPE_PREFIX),
            document["title"],
            document.get("detail", ""),
            document.get("remedy", ""),
            tuple(FieldProblem(each["field"], each["message"], each.get("remedy", "")) for each in document.get("errors", ())),
        )
    except (ValueError, TypeError, KeyError, AttributeError):
        text = answer[:200].decode(errors="replace").strip()
        return ProblemError(
            status,
            "not_a_problem",
            f"HTTP status {status}",
            text or "The answer is empty.",
            "Check that the provider's `url` is the IMS's own, without `/v1`.",
        )
