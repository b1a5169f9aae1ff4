import base64
import itertools
import json
import random
import re
from collections.abc import Callable
from urllib.parse import quote

import pytest

from agent.own_log import OwnLogFormatter
from agent.redaction import Redactor
from api.contract.agents import ApplyResult, PlanResult, SyncResult
from api.contract.base import Failure
from api.contract.component_health import checked, health_of
from api.contract.resources import PlannedChange, PlanSummary

SECRET = 'p&ss/w"rd <1>'


@pytest.mark.parametrize(
    "form",
    [
        SECRET,
        json.dumps(SECRET)[1:-1],
        json.dumps(SECRET)[1:-1].replace("<", r"\u003c").replace(">", r"\u003e").replace("&", r"\u0026"),
        quote(SECRET),
        quote(SECRET, safe=""),
        re.sub("%..", lambda found: found[0].lower(), quote(SECRET, safe="")),
        quote(SECRET, safe="$&+,;="),  # Go's url.UserPassword
        json.dumps(json.dumps(SECRET)[1:-1])[1:-1],
        base64.b64encode(SECRET.encode()).decode().rstrip("="),
        base64.urlsafe_b64encode(SECRET.encode()).decode().rstrip("="),
    ],
)
def test_a_secret_is_found_in_every_form(form: str) -> None:
    assert Redactor([SECRET]).text(f"before {form} after") == "before (sensitive) after"


@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
@pytest.mark.parametrize("before", ["", "a", "ab", "abc", "user:"])
@pytest.mark.parametrize("after", ["", "z", '"}', "zzz"])
def test_a_secret_is_found_within_something_longer_in_base64(encode: Callable[[bytes], bytes], before: str, after: str) -> None:
    """Such as a Basic header or a Docker login. At each end a character may stay, which has bits of its neighbour, too."""
    said = Redactor([SECRET]).text(encode(f"{before}{SECRET}{after}".encode()).decode())
    head, found, tail = said.partition("(sensitive)")
    assert found
    known = base64.urlsafe_b64decode(f"{head.replace('+', '-').replace('/', '_')}{'A' * (-len(head) % 4)}")
    assert not known.decode(errors="replace")[len(before) :].startswith(SECRET[:2])
    assert len(tail.rstrip("=")) <= -(-len(after) * 8 // 6) + 1


def test_base64_that_is_broken_into_lines_is_found() -> None:
    secret = bytes(range(33, 127)).decode() * 2
    for width in (64, 76):
        text = base64.b64encode(secret.encode()).decode()
        lines = "\n".join(f"log: {text[at : at + width]}" for at in range(0, len(text), width))
        said = Redactor([secret]).text(lines)
        assert said.replace("log: (sensitive)", "").strip("=\n") == ""


@pytest.mark.parametrize(
    ("secret", "text", "redacted"),
    [
        ("hunter22\n", "it is hunter22.", "it is (sensitive)."),  # a file's last line end
        ("  first line\n  second line\n", "a: first line\nb: second line", "a: (sensitive)\nb: (sensitive)"),
        ("first line\r\nsecond line", "a: first line\r\n", "a: (sensitive)\r\n"),
        ('{"user": "me", "password": "hunter22", "port": 5432}', "no hunter22 for me on 5432", "no (sensitive) for me on 5432"),
        ('[{"keys": ["hunter22"]}]', "hunter22", "(sensitive)"),
        (json.dumps({"private_key": "-----BEGIN\nbGluZW9uZQ=="}), "x bGluZW9uZQ==", "x (sensitive)"),
        ("{not JSON at all}", "not JSON", "not JSON"),
    ],
)
def test_the_parts_of_a_secret_are_found_too(secret: str, text: str, redacted: str) -> None:
    assert Redactor([secret]).text(text) == redacted


@pytest.mark.parametrize(
    ("secrets", "text", "redacted"),
    [
        (["abc"], "abc", "abc"),  # too short to hide anything
        (["hunter", "hunter22"], "hunter22 hunter", "(sensitive) (sensitive)"),
        (["abcd", "cdef"], "abcdef", "(sensitive)"),  # overlapping ones leave no rest
        (["aaaa"], "aaaaaaa", "(sensitive)"),
        ([{"user": "alice", "keys": ["key-1", {"x": "key-2"}]}], "alice key-1 key-2", "(sensitive) (sensitive) (sensitive)"),
        ([12345], "port 12345", "port (sensitive)"),
        ([True, None], "True None true null", "True None true null"),
        (["-----BEGIN KEY-----\nbGluZW9uZQ\n-----END KEY-----"], "x: bGluZW9uZQ", "x: (sensitive)"),
        (["geheim€"], "das geheim€nis", "das (sensitive)nis"),
    ],
)
def test_what_is_taken_out_and_what_is_left(secrets: list[object], text: str, redacted: str) -> None:
    assert Redactor(secrets).text(text) == redacted


@pytest.mark.parametrize("secrets", [["hunter22"], ["hunter22", "2222", "hunter"], ["aaaa"], ["abcd", "cdef", "efab"]])
def test_a_text_in_pieces_is_redacted_as_if_it_had_come_whole(secrets: list[str]) -> None:
    redactor = Redactor(secrets)
    chance = random.Random(7)
    parts = [*secrets, "x", "\n", "hunt", "aa", "ab", "22"]
    for _ in range(300):
        text = "".join(chance.choices(parts, k=8))
        stream = redactor.stream()
        cuts = sorted(chance.choices(range(len(text) + 1), k=chance.randrange(5)))
        pieces = [text[start:end] for start, end in itertools.pairwise([0, *cuts, len(text)])]
        assert "".join(map(stream.feed, pieces)) + stream.finish() == redactor.text(text)


def test_a_secret_that_is_cut_in_two_never_leaves_in_part() -> None:
    redactor = Redactor(["hunter22"])
    for cut in range(1, 8):
        stream = redactor.stream()
        assert stream.feed("x" + "hunter22"[:cut]) == "x"
        assert stream.feed("hunter22"[cut:] + "y") == "(sensitive)y"


def test_a_secret_learned_later_is_redacted_from_then_on() -> None:
    redactor = Redactor()
    stream = redactor.stream()
    assert stream.feed("hunter22 ") == "hunter22 "
    redactor.learn("hunter22")
    assert stream.feed("hunter22 ") == "(sensitive) "


def test_results_and_failures_are_redacted_and_stay_valid() -> None:
    redactor = Redactor(["hunter22", 4711, "apply"])
    applied = ApplyResult(outputs={"a": "x hunter22", "b": {"hunter22": [4711, True, None, 1.5]}}, sensitive_outputs=["s"])
    assert redactor.result(applied) == ApplyResult(
        outputs={"a": "x (sensitive)", "b": {"(sensitive)": ["(sensitive)", True, None, 1.5]}}, sensitive_outputs=["s"]
    )
    change = PlannedChange(address='x.y["hunter22"]', actions=["create"], attributes=["name"])
    planned = PlanResult(summary=PlanSummary(add=1, resources=[change]), plan_digest="sha256:" + "0" * 64)
    redacted = redactor.result(planned)
    assert isinstance(redacted, PlanResult)
    assert redacted.summary.resources[0].address == 'x.y["(sensitive)"]'
    health = health_of([checked("hunter22.example", "tcp", "degraded", "hunter22 isn't reached")])
    for result in (applied.model_copy(update={"health": health}), planned.model_copy(update={"health": health})):
        said = redactor.result(result).model_dump_json()
        assert "hunter22" not in said
        assert "(sensitive).example: (sensitive) isn't reached" in said
    synced = SyncResult(copied_bytes=4711, skipped_bytes=0)
    assert redactor.result(synced) == synced
    failure = redactor.failure(Failure(code="x", message="hunter22", remedy="not hunter22", field="f"))
    assert (failure.message, failure.remedy) == ("(sensitive)", "not (sensitive)")


def test_the_agents_own_log_is_redacted_with_stack_traces() -> None:
    import logging

    formatter = OwnLogFormatter()
    redactor = Redactor(["hunter22"])
    formatter.watch(redactor)
    try:
        raise ValueError("hunter22")
    except ValueError as error:
        record = logging.LogRecord("x", logging.ERROR, "f", 1, "it is %s", ("hunter22",), (ValueError, error, None))
    assert "hunter22" not in formatter.format(record)


def test_a_pattern_of_the_customers_is_taken_out_of_every_line() -> None:
    redactor = Redactor(["hunter22"])
    redactor.hide(re.compile(r"AKIA[A-Z]{4}\b"))
    redactor.hide(re.compile("x*"))
    assert redactor.text("key AKIAABCD,\nAKIAEFGH hunter22 AKIAEFGHI") == "key (sensitive),\n(sensitive) (sensitive) AKIAEFGHI"

    stream = redactor.stream()
    said = "".join(stream.feed(piece) for piece in ("a AK", "IAABCD", "\nb AKIA", "EFGH")) + stream.finish()
    assert said == "a (sensitive)\nb (sensitive)"
