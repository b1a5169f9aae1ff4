"""Makes a data folder of a backup."""

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from api.backup.manifest import DATA, BackupError, Manifest, faults, read_manifest
from api.db.database import Database
from api.db.doorbell import Doorbell
from api.db.schema import open_database
from api.db.transaction import Write
from api.events import service as events
from api.events.chain import Chain
from api.server import lock
from api.settings import UNFINISHED_RESTORE, Settings, UnusableDataError

_SHOWN = 10


@dataclass(frozen=True)
class Restored:
    """What was restored, and the keys that whoever restored it must still put there."""

    manifest: Manifest
    missing_keys: list[str]


def verify_backup(folder: Path) -> Manifest:
    """Check every sum of a backup. Raises BackupError that lists what is wrong."""
    manifest = read_manifest(folder)
    found = list(faults(folder, manifest))
    if found:
        more = [f"and {len(found) - _SHOWN} more"] if len(found) > _SHOWN else []
        raise BackupError("\n  ".join([f"{len(found)} files of the backup are damaged:", *found[:_SHOWN], *more]))
    return manifest


async def restore_backup(folder: Path, data: Path, *, clock: Callable[[], datetime]) -> Restored:
    """Make the data folder `data`, which must be empty, of an unpacked backup.

    Checks every sum before anything is written, and the history afterwards; if that is broken, `data` is empty again. A file in
    `data` keeps an IMS from starting on half a restore. Raises BackupError, DataInUseError, OSError.
    """
    manifest = verify_backup(folder)
    if data.exists() and any(entry.name != "lost+found" for entry in data.iterdir()):
        raise BackupError(f"{data} isn't empty: restore to another folder, or move this one away")
    lock_handle = lock(data)
    try:
        (data / UNFINISHED_RESTORE).touch(mode=0o600)
        _copy(folder, data, manifest)
        if manifest.database == "sqlite":
            await _check_history(data, manifest, clock)
        os.sync()
        (data / UNFINISHED_RESTORE).unlink()
    except BaseException:
        _empty(data)
        raise
    finally:
        os.close(lock_handle)
    wanted = [] if manifest.keys else ["secrets.key", "registry-token.key", "admin.token", "build-agent/ (its keys)"]
    return Restored(manifest, wanted)


def _copy(folder: Path, data: Path, manifest: Manifest) -> None:
    for name in manifest.files:
        target = data / name
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        shutil.copyfile(folder / DATA / name, target)
        target.chmod(0o600)
    for name, same in manifest.links.items():
        target = data / name
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.link(data / same, target)  # the registry counts links: a copy would never be cleaned up


async def _check_history(data: Path, manifest: Manifest, clock: Callable[[], datetime]) -> None:
    """Check the chain, and write into it that it was restored: lines that came after the backup are gone."""
    settings = Settings(data, "")
    if not settings.database_file.exists():
        return  # it is on PostgreSQL, whose own tools restore it
    try:
        driver = open_database(settings)
    except UnusableDataError as error:
        raise BackupError(str(error)) from error
    db = Database(driver, clock=clock, doorbell=Doorbell(), history=Chain())

    def note(tx: Write) -> None:
        after = {"made_at": manifest.made_at.isoformat(), "exclave": manifest.exclave}
        tx.emit("ims.restored", "ims", after=after | ({"last_event": manifest.head.seq} if manifest.head else {}))

    try:
        _, _, broken_at = await events.verify(db)
        if broken_at is not None:
            raise BackupError(f"the history in the backup is broken at line {broken_at}: it was changed; take another backup")
        await db.write("system", note)
    finally:
        await db.close()


def _empty(data: Path) -> None:
    for entry in data.iterdir():
        if entry.name == "lost+found":
            continue
        if entry.is_dir():
            shutil.rmtree(entry)
        else:
            entry.unlink()
