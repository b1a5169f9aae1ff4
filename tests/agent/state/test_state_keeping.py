"""States in a store: sealed, in versions, under locks that end by themselves."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from agent.state.folder import FolderStore
from agent.state.keys import Keyring, StateKeyError
from agent.state.lock import Holder, holder, holder_of, state_lock
from agent.state.place import Place, StatePlaceError, chosen, open_states
from agent.state.recover import digest, unsaved
from agent.state.sealing import key_of, opened, seal
from agent.state.statefile import outline, with_serial
from agent.state.states import ComponentStates, StateConflictError
from agent.state.store import Found, MovedOnError, StateUnreachableError

pytestmark = pytest.mark.anyio
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def state(serial: int, lineage: str = "one", **more: object) -> bytes:
    document = {
        "version": 4,
        "terraform_version": "1.11.4",
        "serial": serial,
        "lineage": lineage,
        "outputs": {},
        "resources": [],
    }
    return json.dumps({**document, **more}, indent=2).encode()


@pytest.fixture
def states(tmp_path: Path) -> ComponentStates:
    return ComponentStates(FolderStore(tmp_path / "store"), Keyring(tmp_path), "ins_1/network", kept=3)


def test_a_state_is_sealed_and_opens_for_its_own_component_alone(tmp_path: Path) -> None:
    keyring = Keyring(tmp_path)
    sealed = seal(b"canary-4711", "ins_1/a", keyring)
    assert b"canary" not in sealed
    assert opened(sealed, "ins_1/a", keyring) == b"canary-4711"
    for wrong, context in ((sealed, "ins_1/b"), (sealed[:-1] + b"x", "ins_1/a"), (b"{}", "ins_1/a")):
        with pytest.raises(StateKeyError):
            opened(wrong, context, keyring)
    assert keyring.file.stat().st_mode & 0o077 == 0


def test_a_new_key_seals_from_now_on_and_an_old_one_goes_when_nothing_needs_it(states: ComponentStates) -> None:
    tag = states.save(state(1), None).tag
    states.keep(state(1), "job_1", NOW)
    old = states.keyring.current
    states.keyring.add()
    tag = states.save(state(2), tag).tag
    states.keep(state(2), "job_2", NOW)
    assert states.keyring.drop_old(used={old}) == 0
    assert states.reseal() == 1
    assert states.reseal() == 0
    assert states.keyring.drop_old(used=set()) == 1
    found = states.load()
    assert found
    assert found.state == state(2)
    assert [states.version(version.name) for version in states.versions()] == [state(2), state(1)]


class FakeKms:
    """AWS KMS's encrypt and decrypt, as its documentation describes them: the encryption context has to be the same."""

    def encrypt(self, **request: Any) -> dict[str, bytes]:
        given = [request["KeyId"], request["Plaintext"].hex(), request["EncryptionContext"]]
        return {"CiphertextBlob": json.dumps(given).encode()}

    def decrypt(self, **request: Any) -> dict[str, bytes]:
        key, plaintext, context = json.loads(request["CiphertextBlob"])
        if (key, context) != (request["KeyId"], request["EncryptionContext"]):
            raise ValueError("InvalidCiphertextException")
        return {"Plaintext": bytes.fromhex(plaintext)}


def test_a_kms_key_takes_over_from_the_file(states: ComponentStates, tmp_path: Path) -> None:
    states.save(state(1), None)
    moved = ComponentStates(states.store, Keyring(tmp_path, "awskms:alias/states", aws=lambda _: FakeKms()), states.context)
    assert moved.reseal() == 1
    found = states.store.read("ins_1/network/current")
    assert found
    assert key_of(found.data) == "awskms:alias/states"
    assert moved.load()
    with pytest.raises(StateKeyError):
        opened(found.data, "ins_1/other", moved.keyring)


def test_the_last_versions_are_kept(states: ComponentStates) -> None:
    for serial in range(1, 6):
        states.keep(state(serial), f"job_{serial}", NOW + timedelta(minutes=serial))
    kept = states.versions()
    assert [(version.serial, version.job_id) for version in kept] == [(5, "job_5"), (4, "job_4"), (3, "job_3")]
    assert states.version(kept[2].name) == state(3)
    assert states.version("../../secret") is None


def test_of_two_agents_with_one_state_the_second_is_refused(states: ComponentStates) -> None:
    tag = states.save(state(1), None).tag
    states.save(state(2), tag)
    with pytest.raises(StateConflictError):
        states.save(state(3, resources=["mine"]), tag)


def test_a_write_whose_answer_was_lost_counts(states: ComponentStates) -> None:
    class LosesAnswers(FolderStore):
        def write(self, name: str, data: bytes, tag: str | None) -> str:
            super().write(name, data, tag)
            # The library below tries again by itself.
            return super().write(name, data, tag)

    lossy = ComponentStates(LosesAnswers(states.store.folder), states.keyring, states.context)  # type: ignore[attr-defined]
    saved = lossy.save(state(1), None)
    assert states.load() == saved


STORED = state(4)


@pytest.mark.parametrize(
    ("stored", "known", "left", "wanted"),
    [
        (STORED, [STORED], [], None),
        (None, [], [state(1)], state(1)),
        (STORED, [STORED], [STORED], None),
        (STORED, [], [STORED], None),
        (STORED, [STORED], [state(5)], state(5)),
        (STORED, [STORED], [state(4), state(6)], state(6)),
        (STORED, [STORED], [state(4, resources=["more"])], state(4, resources=["more"])),
        (STORED, [STORED, state(5)], [state(5)], state(5)),
        (STORED, [state(3)], [state(3)], None),
    ],
)
def test_what_an_engine_left_is_stored_if_it_is_newer(
    stored: bytes | None, known: list[bytes], left: list[bytes], wanted: bytes | None
) -> None:
    assert unsaved(stored, [digest(one) for one in known], left) == wanted


@pytest.mark.parametrize(
    ("known", "left"),
    [
        ([STORED], [state(5, "two")]),
        ([STORED], [b"torn"]),
        ([STORED], [b'{"serial": 5}']),
        ([state(3)], [state(5)]),
        ([state(3), state(5)], [state(5)]),
    ],
)
def test_what_excludes_the_stored_state_is_left_for_a_person(known: list[bytes], left: list[bytes]) -> None:
    with pytest.raises(StateConflictError):
        unsaved(STORED, [digest(one) for one in known], left)


def test_an_outline_has_no_value() -> None:
    resource = {
        "mode": "managed",
        "type": "aws_thing",
        "name": "x",
        "module": "module.m",
        "instances": [{"index_key": "k", "attributes": {"id": "canary", "secret": "canary"}}],
    }
    said = outline(state(1, resources=[resource], outputs={"o": {"value": "canary", "type": "string", "sensitive": True}}))
    assert said["resources"] == [{"address": 'module.m.aws_thing.x["k"]', "attributes": ["id", "secret"]}]
    assert said["outputs"] == {"o": {"sensitive": True, "type": "string"}}
    assert "canary" not in json.dumps(said)


def test_another_serial_changes_no_number_else() -> None:
    text = state(3, outputs={"n": {"value": 12345678901234567890, "type": "number"}})
    assert with_serial(text, 9) == text.replace(b'"serial": 3', b'"serial": 9')


def quick(agent: str, job: str, lease: float = 0.4) -> Holder:
    return holder(agent, job, 1).model_copy(update={"lease_seconds": lease})


@pytest.mark.service
async def test_a_lock_says_who_holds_it_and_keeps_others_out_until_it_ends(tmp_path: Path) -> None:
    store, said = FolderStore(tmp_path), list[str]()
    order: list[str] = []
    begun = asyncio.Event()

    async def work(agent: str, job: str) -> None:
        async with state_lock(store, "lock", quick(agent, job, lease=6), said.append):
            order.append(f"{job} begins")
            begun.set()
            while (mine := holder_of(store, "lock")) and (mine.renewed - mine.since).total_seconds() < 6.5:  # noqa: ASYNC110 - on the disk
                await asyncio.sleep(0.05)  # until renewals have made it outlast its lease
            order.append(f"{job} ends")

    first = asyncio.create_task(work("agt_1", "job_1"))
    await begun.wait()
    held = holder_of(store, "lock")
    assert held
    assert (held.agent, held.job_id, held.attempt) == ("agt_1", "job_1", 1)
    await asyncio.gather(first, work("agt_2", "job_2"))
    assert order == ["job_1 begins", "job_1 ends", "job_2 begins", "job_2 ends"]
    assert "job job_1, attempt 1, of agent agt_1" in said[0]
    assert holder_of(store, "lock") is None


async def test_a_lock_that_nobody_renews_is_taken_over_after_its_lease(tmp_path: Path) -> None:
    store, said = FolderStore(tmp_path), list[str]()
    skewed = quick("agt_1", "job_1").model_copy(update={"renewed": datetime.now(UTC) + timedelta(minutes=10)})
    store.write("lock", json.dumps({"holder": json.loads(skewed.model_dump_json())}).encode(), None)
    begun = asyncio.get_running_loop().time()
    async with state_lock(store, "lock", quick("agt_2", "job_2"), said.append):
        assert asyncio.get_running_loop().time() - begun >= 0.4
    assert "taken over from job job_1" in said[-1]


async def test_an_agents_own_lock_of_a_killed_process_is_taken_over_at_once(tmp_path: Path) -> None:
    store, said = FolderStore(tmp_path), list[str]()
    dead = quick("agt_1", "job_1", lease=3600)
    store.write("lock", json.dumps({"holder": json.loads(dead.model_dump_json())}).encode(), None)
    async with asyncio.timeout(240), state_lock(store, "lock", quick("agt_1", "job_2"), said.append):
        pass
    assert "taken over from job job_1" in said[-1]


async def test_a_holder_that_loses_the_store_goes_on_and_frees_the_lock_later(tmp_path: Path) -> None:
    class Flaky(FolderStore):
        down = False

        def write(self, name: str, data: bytes, tag: str | None) -> str:
            if type(self).down:
                super().write(name, data, tag)  # carried out, but the answer is lost
                raise StateUnreachableError("cut")
            return super().write(name, data, tag)

        def read(self, name: str) -> Found | None:
            return super().read(name)

    store = Flaky(tmp_path)
    async with state_lock(store, "lock", quick("agt_1", "job_1", lease=0.2), lambda _: None):
        Flaky.down = True
        await asyncio.sleep(0.2)
        Flaky.down = False
    assert holder_of(store, "lock") is None


def test_an_agent_does_not_start_where_its_states_are_not(tmp_path: Path) -> None:
    home, elsewhere = tmp_path / "home", str(tmp_path / "elsewhere")
    place = chosen(home, "ins_1", "agt_1", None, None)
    assert place == Place()
    assert chosen(home, "ins_1", "agt_1", elsewhere, None).state == elsewhere
    assert chosen(home, "ins_1", "agt_1", None, None).state == elsewhere
    open_states(Place(state=elsewhere), home, "ins_1", "agt_1").of("network").save(state(1), None)
    with pytest.raises(StatePlaceError, match="those of network are in"):
        chosen(home, "ins_1", "agt_1", "home", None)
    assert chosen(home, "ins_1", "agt_1", None, None).state == elsewhere


def test_a_refused_write_is_no_answer_lost(states: ComponentStates) -> None:
    tag = states.save(state(1), None).tag
    with pytest.raises(MovedOnError):
        states.store.write("ins_1/network/current", b"x", "other")
    assert states.save(state(2), tag)
