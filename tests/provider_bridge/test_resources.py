"""What the resources share: one read for many, waiting for each other."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from provider_bridge.framework.diagnostics import RefusedError
from provider_bridge.problems import Json, UnreachableError
from provider_bridge.resources.activity import Activity
from provider_bridge.resources.connection import Connection
from provider_bridge.resources.lists import Lists
from provider_bridge.resources.waiting import wait_for
from provider_bridge.resources.wire import as_text, map_from_wire, same_text


class Pages:
    """A client whose collections have two pages of one object each. It counts what is asked of it."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, ...]] = []

    def get(self, *path: str, limit: int = 0, after: str = "", **query: str) -> Json:
        self.asked.append((*path, *query.values(), *([after] if after else [])))
        if not limit:
            return {"id": path[-1]}
        return {"items": [{"id": after or "one"}], "after": None if after else "two"}


def test_many_threads_that_ask_at_once_make_one_request_for_each_page() -> None:
    client, lists, arrived = Pages(), Lists(), threading.Barrier(8)

    def read(_: int) -> Json:
        arrived.wait(60)
        return lists.all_of(client, ("apps", "shop", "components"))  # type: ignore[arg-type]

    with ThreadPoolExecutor(8) as threads:
        for found in threads.map(read, range(8)):
            assert set(found) == {"one", "two"}
    assert client.asked == [("apps", "shop", "components"), ("apps", "shop", "components", "two")]


def test_a_write_makes_the_next_read_a_new_one() -> None:
    client, lists = Pages(), Lists()
    for expected in (2, 2):
        lists.all_of(client, ("apps",))  # type: ignore[arg-type]
        assert len(client.asked) == expected
    lists.forget()
    lists.all_of(client, ("apps",))  # type: ignore[arg-type]
    assert len(client.asked) == 4


def test_one_object_is_asked_for_alone_and_a_second_one_with_all_others() -> None:
    client, lists = Pages(), Lists()
    found = [lists.one_of(client, ("installs",), each, app="shop") for each in ("one", "two", "one", "gone")]  # type: ignore[arg-type]
    assert [each and each["id"] for each in found] == ["one", "two", "one", None]
    assert client.asked == [("installs", "one"), ("installs", "shop"), ("installs", "shop", "two")]


class Clock(threading.Event):
    """An event that is never set, and whose waits move the time."""

    now = 0.0

    def wait(self, timeout: float | None = None) -> bool:
        self.now += timeout or 0
        return self.is_set()


def test_waiting_for_others_ends_once_nobody_has_worked_for_a_while() -> None:
    clock = Clock()
    activity = Activity(lambda: clock.now)
    with activity.at_work():
        with activity.at_work():
            for _ in range(20):
                assert activity.wait_for_others(clock), "another apply is under way"
        tries = 0
        while activity.wait_for_others(clock):
            tries += 1
        assert tries == 5
    clock.set()
    with activity.at_work():
        assert not activity.wait_for_others(clock), "the user has stopped Terraform"


def test_a_wait_ends_when_the_ims_is_away_for_too_long() -> None:
    def poll(last: Json) -> Json:
        raise UnreachableError("http://ims gives no answer")

    outcome = wait_for({}, poll, bool, lambda seen: None, seconds=60, stop=threading.Event())
    assert (outcome.end, outcome.why) == ("unreachable", "http://ims gives no answer")


def test_nothing_is_applied_while_the_configuration_is_unknown() -> None:
    with pytest.raises(RefusedError, match="isn't configured"):
        Connection().need()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a", "a"),
        ("<a>", "<a>"),
        (80, "80"),
        (True, "true"),
        (["ä", 1], '["ä",1]'),
        ({"b": 1, "a": None}, '{"a":null,"b":1}'),
        (["<a>&\u2028"], r'["\u003ca\u003e\u0026\u2028"]'),
    ],
)
def test_values_are_written_as_jsonencode_writes_them(value: Json, text: str) -> None:
    assert as_text(value) == text
    assert same_text(text, value)


def test_what_the_user_wrote_stays_if_it_means_the_same() -> None:
    assert map_from_wire({"a": [1, 2], "b": "x"}, {"a": "[1, 2]", "b": "x", "c": None}) == {"a": "[1, 2]", "b": "x", "c": None}
    assert map_from_wire({"a": [1, 3]}, {"a": "[1, 2]"}) == {"a": "[1,3]"}
    assert not same_text("not json", 5)
