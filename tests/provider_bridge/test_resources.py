"""What the resources share: one read for many, waiting for each other."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from provider_bridge.framework.diagnostics import RefusedError
from provider_bridge.problems import Json, UnreachableError
from provider_bridge.resources.activity import Activity
from provider_bridge.resources.component_lists import ComponentLists
from provider_bridge.resources.connection import Connection
from provider_bridge.resources.waiting import wait_for
from provider_bridge.resources.wire import as_text, map_from_wire, same_text


def test_many_threads_that_ask_at_once_make_one_request_for_each_page() -> None:
    asked: list[str | None] = []
    arrived = threading.Barrier(8)

    def fetch(app: str, cursor: str | None) -> Json:
        asked.append(cursor)
        return {"items": [{"id": f"{app}-{cursor}"}], "after": "two" if cursor is None else None}

    lists = ComponentLists()

    def read(_: int) -> Json:
        arrived.wait(10)
        return lists.of_app("shop", fetch)

    with ThreadPoolExecutor(8) as threads:
        for found in threads.map(read, range(8)):
            assert set(found) == {"shop-None", "shop-two"}
    assert asked == [None, "two"]


def test_a_write_makes_the_next_read_a_new_one() -> None:
    count = iter(range(10))
    lists = ComponentLists()

    def fetch(app: str, cursor: str | None) -> Json:
        return {"items": [{"id": next(count)}], "after": None}

    assert list(lists.of_app("shop", fetch)) == [0]
    assert list(lists.of_app("shop", fetch)) == [0]
    lists.forget()
    assert list(lists.of_app("shop", fetch)) == [1]


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
