"""The manifests, tags and referrers of a registry's folder, which `storage` describes: files of their own, and no blobs."""

import contextlib
import os
import threading
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from api.registry import durable, names
from api.registry.errors import DigestInvalidError, ManifestBlobUnknownError, ManifestUnknownError, TagMovedError
from api.registry.manifests import StoredManifest, check_media_type, digest_of, read_manifest


class ManifestFiles(ABC):
    """What a storage knows of manifests. Methods block."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.scratch = folder / "scratch"
        self._repositories = folder / "repositories"
        self._changing = [threading.RLock() for _ in range(64)]
        self._changes: Counter[str] = Counter()

    @abstractmethod
    def has_blob(self, repository: str, digest: str) -> bool:
        """Whether the repository has the blob; False for what isn't a digest of this registry."""

    def _part(self, repository: str, part: str, *more: str) -> Path:
        # A part begins with "_", which no component of a repository's name does: names can't collide with parts.
        return self._repositories.joinpath(names.check_repository(repository), part, *more)

    def changing(self, repository: str) -> threading.RLock:
        """Held while what a repository has is changed, so that a collection sees it before or after, never in between."""
        return self._changing[hash(repository) % len(self._changing)]

    def changes(self, repository: str) -> int:
        """How often this process has changed the repository's manifests or tags: what was read at this number still holds."""
        return self._changes[repository]

    def repositories(self) -> Iterator[str]:
        """The names of all repositories."""
        for folder, parts, _ in os.walk(self._repositories):
            if "_blobs" in parts or "_manifests" in parts:
                yield Path(folder).relative_to(self._repositories).as_posix()
            parts[:] = [part for part in parts if not part.startswith("_")]

    def has_repository(self, repository: str) -> bool:
        """Whether anything was ever pushed to the repository."""
        return self._part(repository, "_blobs").is_dir() or self._part(repository, "_manifests").is_dir()

    def manifest(self, repository: str, reference: str) -> StoredManifest | None:
        """The manifest that a tag or a digest names, or None. Raises NameInvalidError."""
        digest = reference if names.is_digest(reference) else self._tagged(repository, reference)
        if digest is None:
            return None
        try:
            record = self._part(repository, "_manifests", names.hex_of(digest)).read_bytes()
        except FileNotFoundError:
            return None
        media_type, _, content = record.partition(b"\n")
        return StoredManifest(digest, media_type.decode("latin-1"), content)

    def _tagged(self, repository: str, tag: str) -> str | None:
        path = self._part(repository, "_tags")
        if not names.is_tag(tag):
            return None
        try:
            return (path / tag).read_text()
        except FileNotFoundError:
            return None

    def tags(self, repository: str) -> list[str]:
        """The repository's tags, in ASCII order."""
        return entries(self._part(repository, "_tags"))

    def referrers(self, repository: str, subject: str) -> list[StoredManifest]:
        """The manifests whose subject is this digest, whether or not the subject itself is here; in order of digest."""
        listed = entries(self._part(repository, "_referrers", names.hex_of(subject)))
        found = (self.manifest(repository, names.digest_named(entry)) for entry in listed)
        return [manifest for manifest in found if manifest is not None]

    def manifests(self, repository: str) -> dict[str, float]:
        """The repository's manifests, and when somebody last pushed each or asked for it (Unix time)."""
        return self._ages(self._part(repository, "_manifests"))

    def _ages(self, folder: Path) -> dict[str, float]:
        ages = {}
        for entry in entries(folder):
            with contextlib.suppress(FileNotFoundError):  # deleted meanwhile
                ages[names.digest_named(entry)] = (folder / entry).stat().st_mtime
        return ages

    def put_manifest(
        self, repository: str, reference: str, media_type: str, content: bytes, *, over: str | None = None
    ) -> StoredManifest:
        """Keep a manifest, and tag it if `reference` is a tag. An empty `media_type` is read from the manifest.

        With `over`, only if the reference names this digest now, or nothing if it is empty: of two who have read the same
        manifest and write it anew, the second one is told.

        Raises DigestInvalidError (the content has another digest), ManifestInvalidError, ManifestBlobUnknownError,
        TagInvalidError, TagMovedError. Then nothing has changed.
        """
        names.check_reference(reference)
        listed = read_manifest(content)
        by_digest = names.is_digest(reference)
        digest = digest_of(content, names.algorithm_of(reference) if by_digest else names.ALGORITHMS[0])
        if by_digest and reference != digest:
            raise DigestInvalidError(f"the manifest received has the digest {digest}, not {reference}")
        manifest = StoredManifest(digest, check_media_type(media_type or listed.media_type), content)
        with self.changing(repository):
            if over is not None:
                self._check_unmoved(repository, reference, over)
            for blob in listed.blobs:
                if not self.has_blob(repository, blob):
                    raise ManifestBlobUnknownError(f"the manifest lists {blob}, which {repository} doesn't have; push it first")
            try:
                self._write_manifest(repository, reference, manifest, listed.subject)
            finally:
                self._changes[repository] += 1
        return manifest

    def _check_unmoved(self, repository: str, reference: str, over: str) -> None:
        present = self.manifest(repository, reference)
        named = present.digest if present else ""
        if named != over:
            raise TagMovedError(f"{repository}:{reference} names {named or 'nothing'}, not {over or 'nothing'}; read it again")

    def _write_manifest(self, repository: str, reference: str, manifest: StoredManifest, subject: str | None) -> None:
        # The referrers' entry goes first: a manifest that is there is always listed, an entry without one is passed over.
        own = names.hex_of(manifest.digest)
        if subject is not None and names.is_digest(subject):
            self._write(self._part(repository, "_referrers", names.hex_of(subject), own), b"")
        record = manifest.media_type.encode("latin-1") + b"\n" + manifest.content
        self._write(self._part(repository, "_manifests", own), record)
        if not names.is_digest(reference):
            self._write(self._part(repository, "_tags", reference), manifest.digest.encode())

    def _write(self, path: Path, content: bytes) -> None:
        durable.make_folder(path.parent)
        durable.write_file(path, content, scratch=self.scratch)

    def delete_manifest(self, repository: str, reference: str) -> None:
        """Remove a tag; or, by digest, a manifest with all its tags. Raises ManifestUnknownError."""
        with self.changing(repository):
            try:
                self._delete_manifest(repository, reference)
            finally:
                self._changes[repository] += 1

    def _delete_manifest(self, repository: str, reference: str) -> None:
        manifest = self.manifest(repository, reference)
        if manifest is None:
            raise ManifestUnknownError(f"{repository} has no manifest {reference}")
        if not names.is_digest(reference):
            self._remove(self._part(repository, "_tags", reference))
            return
        for tag in self.tags(repository):
            if self._tagged(repository, tag) == reference:
                self._remove(self._part(repository, "_tags", tag))
        self._remove(self._part(repository, "_manifests", names.hex_of(reference)))
        subject = read_manifest(manifest.content).subject
        if subject is not None and names.is_digest(subject):
            self._remove(self._part(repository, "_referrers", names.hex_of(subject), names.hex_of(reference)))

    def _remove(self, path: Path) -> None:
        path.unlink(missing_ok=True)
        if path.parent.is_dir():
            durable.sync_folder(path.parent)


def entries(folder: Path) -> list[str]:
    """The names in a folder, in ASCII order; none if it isn't there."""
    try:
        return sorted(entry.name for entry in folder.iterdir())
    except FileNotFoundError:
        return []
