from pathlib import Path

import pytest

from api.secrets.keys import FileKey, open_provider
from api.secrets.vault import Keys, Vault, data_key_of
from api.settings import UnusableDataError

FIRST, SECOND = "dek_" + "1" * 26, "dek_" + "2" * 26


def vault(*, key: bytes = b"k" * 32, mac: bytes = b"m" * 32) -> Vault:
    return Vault(Keys(current=FIRST, data={FIRST: key}, mac=mac))


def test_the_vault_gives_back_what_was_put_in() -> None:
    values = {"password": "hush", "list": [1, None, "ü"]}
    sealed = vault().seal(values, owner="ins_1")
    assert b"hush" not in sealed
    assert data_key_of(sealed) == FIRST
    assert vault().open_sealed(sealed, owner="ins_1") == values
    assert vault().seal(values, owner="ins_1") != sealed


def test_sealed_values_open_only_for_their_owner_with_the_key_and_unchanged() -> None:
    sealed = vault().seal({"a": 1}, owner="ins_1")
    elsewhere = sealed.replace(FIRST.encode(), SECOND.encode())
    both = Vault(Keys(current=FIRST, data={FIRST: b"k" * 32, SECOND: b"k" * 32}, mac=b""))
    for opener, content, owner in [
        (vault(), sealed, "ins_2"),
        (vault(key=b"x" * 32), sealed, "ins_1"),
        (vault(), sealed[:-1] + bytes([sealed[-1] ^ 1]), "ins_1"),
        (vault(), sealed[8:], "ins_1"),
        (vault(), elsewhere, "ins_1"),
        (both, elsewhere, "ins_1"),
    ]:
        with pytest.raises(UnusableDataError, match="backup"):
            opener.open_sealed(content, owner=owner)


def test_a_key_that_another_replica_made_is_found() -> None:
    newer = Keys(current=SECOND, data={FIRST: b"k" * 32, SECOND: b"n" * 32}, mac=b"m" * 32)
    behind = Vault(Keys(current=FIRST, data={FIRST: b"k" * 32}, mac=b"m" * 32), lambda: newer)
    sealed = Vault(newer).seal({"a": 1}, owner="x")
    assert behind.open_sealed(sealed, owner="x") == {"a": 1}
    assert behind.current == SECOND


def test_fingerprints_tell_equal_from_different_and_need_the_key() -> None:
    assert vault().fingerprint({"a": 1, "b": 2}) == vault().fingerprint({"b": 2, "a": 1})
    assert vault().fingerprint("hush") != vault().fingerprint("Hush")
    assert vault().fingerprint("hush") != vault(mac=b"x" * 32).fingerprint("hush")
    assert vault().fingerprint("hush") == vault(key=b"x" * 32).fingerprint("hush")


def test_a_key_file_is_made_once_and_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "secrets.key"
    wrapped = FileKey.open(path, make=True).wrap(b"data key", FIRST)
    assert path.stat().st_mode & 0o777 == 0o600
    assert FileKey.open(path, make=False).unwrap(wrapped, FIRST) == b"data key"
    assert [file.name for file in tmp_path.iterdir()] == ["secrets.key"]


def test_a_wrapped_key_opens_with_its_own_key_and_for_its_own_id_alone(tmp_path: Path) -> None:
    key, other = (FileKey.open(tmp_path / name, make=True) for name in ("a", "b"))
    wrapped = key.wrap(b"data key", FIRST)
    assert key.id != other.id
    for provider, context in [(other, FIRST), (key, SECOND)]:
        with pytest.raises(UnusableDataError, match="restore it from a backup"):
            provider.unwrap(wrapped, context)


def test_half_a_key_is_refused_and_one_that_was_being_written_is_not_one(tmp_path: Path) -> None:
    path = tmp_path / "secrets.key"
    path.with_name("secrets.key.new").write_bytes(b"half")
    FileKey.open(path, make=True)
    path.write_bytes(b"half")
    with pytest.raises(UnusableDataError, match="32 bytes"):
        FileKey.open(path, make=False)


@pytest.mark.parametrize("setting", ["", "nope", "file:", "vault:x", "awskms:", "gcpkms:"])
def test_a_setting_that_names_no_key_is_told_what_to_write(setting: str) -> None:
    with pytest.raises(UnusableDataError, match="write file:/path, awskms:KEY_ARN or gcpkms:projects"):
        open_provider(setting, make=False)


def test_a_key_file_in_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(UnusableDataError, match="can't write"):
        open_provider(f"file:{tmp_path}/no/such/key", make=True)
