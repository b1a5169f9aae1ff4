"""Makes a backup of a data folder, also while an IMS runs on it.

The order is what makes it consistent. The database is copied first, in one read transaction: everything that it names (blobs,
log chunks) was on the disk before it was committed, and so is still there when the files are copied afterwards. What came in
meanwhile is in the copy without being named, which does no harm. Keys are copied before and compared afterwards: the database
must not be of a newer key than the backup has.
"""

import contextlib
import gzip
import hashlib
import json
import lzma
import os
import shutil
import sqlite3
import tarfile
import zlib
from collections.abc import Iterator
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from api.backup.manifest import DATA, MANIFEST, BackupError, Head, Manifest, SavedFile, sha256_of
from api.settings import Settings

ARCHIVE = ".tar"
_TRIES = 3
_NEVER = {"lock", "registry/lock", "restore-unfinished"}
_NEVER_FOLDERS = {"registry/scratch", "build-agent"}
_BUILD_AGENT_KEYS = ("agent.key", "vendor.key", "identity.json")


def make_backup(settings: Settings, destination: Path, *, keys: bool, now: datetime) -> Manifest:
    """Copy everything that an IMS needs to `destination`: a folder, or one file if its name ends with `.tar`.

    It appears under its name when it is whole. Raises BackupError.
    """
    if destination.exists():
        raise BackupError(f"{destination} is there already: give another name, a backup never overwrites anything")
    if not settings.data.is_dir():
        raise BackupError(f"there is no data folder {settings.data}: say with --data where it is")
    unfinished = destination.with_name(f"{destination.name}.unfinished-{os.getpid()}")
    try:
        unfinished.mkdir(parents=True, mode=0o700)
        manifest = _Copy(settings, unfinished, keys=keys).run(now)
        (unfinished / MANIFEST).write_text(manifest.model_dump_json(indent=2))
        if destination.suffix == ARCHIVE:
            _pack(unfinished, destination)
        else:
            os.sync()
            unfinished.rename(destination)
    except (OSError, sqlite3.Error, tarfile.TarError) as error:
        raise BackupError(f"the backup can't be made: {error}") from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return manifest


def _pack(folder: Path, archive: Path) -> None:
    aside = folder.with_name(folder.name + ARCHIVE)
    try:
        with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            with tarfile.open(fileobj=file, mode="w") as tar:
                tar.add(folder / MANIFEST, MANIFEST)
                tar.add(folder / DATA, DATA)
            file.flush()
            os.fsync(file.fileno())
        aside.rename(archive)
    finally:
        aside.unlink(missing_ok=True)


@contextlib.contextmanager
def unpacked(source: Path, beside: Path) -> Iterator[Path]:
    """A backup as a folder; one that is packed is unpacked beside `beside` for as long as it is needed. Raises BackupError."""
    if not source.is_file():
        yield source
        return
    folder = beside.with_name(f"{beside.name}.unpacked-{os.getpid()}")
    try:
        folder.mkdir(mode=0o700, parents=True)
        with tarfile.open(source) as tar:
            tar.extractall(folder, filter="data")
        yield folder
    except (tarfile.ReadError, gzip.BadGzipFile, lzma.LZMAError, zlib.error, EOFError) as error:
        # Somebody may have compressed it. tarfile's own words are a list of the formats that it tried.
        raise BackupError(f"{source} isn't a whole backup: give a file that `exclave backup` made") from error
    except (OSError, tarfile.TarError) as error:
        raise BackupError(f"{source} can't be unpacked: {error}") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class _Copy:
    def __init__(self, settings: Settings, to: Path, *, keys: bool) -> None:
        self._settings = settings
        self._from = settings.data
        self._to = to / DATA
        self._keys = keys
        self._files: dict[str, SavedFile] = {}
        self._links: dict[str, str] = {}
        self._damaged: list[str] = []

    def run(self, now: datetime) -> Manifest:
        self._to.mkdir(mode=0o700)
        kind: Literal["sqlite", "postgresql"] = "sqlite" if self._settings.database == "sqlite" else "postgresql"
        head = self._database_with_keys(copy_database=kind == "sqlite")
        self._everything_else()
        return Manifest(
            exclave=version("exclave"),
            made_at=now,
            database=kind,
            keys=self._keys,
            head=head,
            files=self._files,
            links=self._links,
            damaged=self._damaged,
        )

    def _key_files(self) -> list[Path]:
        """Keys, tokens and settings: every file that lies at the top, besides the database's."""
        own = {self._settings.database_file.name + end for end in ("", "-wal", "-shm", "-journal")}
        top = [path for path in self._from.iterdir() if path.is_file() and path.name not in own | _NEVER]
        agent = [self._from / "build-agent" / name for name in _BUILD_AGENT_KEYS]
        unfinished = {path for path in top if path.suffix == ".new" or path.name.startswith(".")}
        return sorted(path for path in [*top, *agent] if path.is_file() and path not in unfinished)

    def _read_key_files(self) -> dict[Path, bytes]:
        found = {}
        for path in self._key_files():
            with contextlib.suppress(FileNotFoundError):  # the server has removed it since, such as a token that is used up
                found[path] = path.read_bytes()
        return found

    def _database_with_keys(self, *, copy_database: bool) -> Head | None:
        for _ in range(_TRIES):
            before = self._read_key_files()
            head = self._database() if copy_database else None
            if before == self._read_key_files():
                break
        else:
            raise BackupError("the keys changed again and again while the database was copied: try again")
        if self._keys:
            for path, content in before.items():
                copy = self._to / path.relative_to(self._from)
                copy.parent.mkdir(exist_ok=True, mode=0o700)
                with os.fdopen(os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                    file.write(content)
                saved = SavedFile(sha256=hashlib.sha256(content).hexdigest(), size=len(content))
                self._files[path.relative_to(self._from).as_posix()] = saved
        return head

    def _database(self) -> Head | None:
        source = self._settings.database_file
        if not source.exists():
            raise BackupError(f"there is no database {source}: say with --data where the IMS keeps its data")
        copy = self._to / source.name
        os.close(os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600))
        # Not read-only: a reader of WAL that comes after a kill must be able to make the files that go with it.
        with (
            contextlib.closing(sqlite3.connect(f"file:{quote(str(source))}?mode=rw", uri=True, timeout=30)) as live,
            contextlib.closing(sqlite3.connect(copy)) as target,
        ):
            live.backup(target)  # all pages at once: one read transaction, which in WAL mode holds no writer up
            target.execute("PRAGMA journal_mode=DELETE")  # one file
            row = target.execute("SELECT seq, hash FROM event ORDER BY seq DESC LIMIT 1").fetchone()
        sha256, size = sha256_of(copy)
        self._files[source.name] = SavedFile(sha256=sha256, size=size)
        return Head(seq=row[0], hash=row[1]) if row else None

    def _everything_else(self) -> None:
        inodes: dict[tuple[int, int], str] = {}
        blobs_elsewhere = (self._from / "registry" / "place").exists()  # then only their sizes are in the folder
        for path in self._walk(self._from):
            name = path.relative_to(self._from).as_posix()
            copy = self._to / name
            try:
                status = path.stat()
                same = inodes.get((status.st_dev, status.st_ino)) if status.st_nlink > 1 else None
                if same:
                    self._links[name] = same
                    continue
                copy.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                shutil.copyfile(path, copy)
            except FileNotFoundError:
                copy.unlink(missing_ok=True)
                continue  # deleted since it was listed, after the database was copied: nothing to keep
            copy.chmod(0o600)
            sha256, size = sha256_of(copy)
            self._files[name] = SavedFile(sha256=sha256, size=size)
            inodes[status.st_dev, status.st_ino] = name
            if not _is_what_its_name_says(copy, name, sha256, blobs_elsewhere=blobs_elsewhere):
                self._damaged.append(name)

    def _walk(self, folder: Path) -> Iterator[Path]:
        """Every file below the data folder that isn't at its top, in order: a blob comes before the links to it."""
        try:
            entries = sorted(folder.iterdir())
        except FileNotFoundError:
            return  # deleted since it was listed
        for entry in entries:
            name = entry.relative_to(self._from).as_posix()
            if entry.is_symlink():
                continue
            if entry.is_dir():
                if name not in _NEVER_FOLDERS:
                    yield from self._walk(entry)
            elif folder != self._from and name not in _NEVER and not entry.name.startswith("."):
                yield entry


def _is_what_its_name_says(copy: Path, name: str, sha256: str, *, blobs_elsewhere: bool) -> bool:
    parts = name.split("/")
    if parts[0] != "registry":
        return True
    algorithm = "sha256" if len(parts[-1]) == 64 else "sha512"
    if parts[1] == "blobs" or parts[-2] == "_blobs":
        if blobs_elsewhere:
            return True
        with copy.open("rb") as file:
            return (sha256 if algorithm == "sha256" else hashlib.file_digest(file, algorithm).hexdigest()) == parts[-1]
    if parts[-2] == "_manifests":
        return hashlib.new(algorithm, copy.read_bytes().partition(b"\n")[2]).hexdigest() == parts[-1]
    return True


def note_of(settings: Settings, manifest: Manifest) -> list[str]:
    """What whoever makes a backup should know about it."""
    notes = []
    if manifest.database == "postgresql":
        notes.append("The database isn't in it: dump it with pg_dump, before you make this backup.")
    if not manifest.keys:
        notes.append("No keys are in it: without secrets.key, the sensitive values in the database can't be read.")
    elif settings.secrets_key_file is None:
        notes.append(f"The key that encrypts secrets isn't in it: it is {settings.secrets_key}.")
    elif not settings.secrets_key_file.is_relative_to(settings.data):
        notes.append(f"The key that encrypts secrets isn't in it, because it is in {settings.secrets_key_file}: keep it, too.")
    return notes


def summary_json(manifest: Manifest, **more: object) -> str:
    """A backup's summary for programs: the manifest without its lists of files."""
    brief = json.loads(manifest.model_dump_json(exclude={"files", "links"}))
    return json.dumps({**brief, "files": len(manifest.files) + len(manifest.links), "bytes": manifest.size, **more}, indent=2)
