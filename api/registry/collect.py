"""The collection: removes manifests that nothing needs any more, and blobs that no manifest lists (`in-use-stays`).

A manifest stays if it is needed (`Needs`), has a tag, was pushed or asked for lately, or belongs to one that stays: an index
lists it, it is a referrer, or it has a cosign tag. A blob stays if a manifest that stays lists it, or if it was pushed or asked
for lately: a push sends blobs first and the manifest last. Deciding and removing happen while nobody can change the
repository's manifests, so a push that comes meanwhile finds either everything there, or is told which blob to push again.
"""

import re
from collections import Counter
from dataclasses import dataclass, field

from api.registry.errors import BlobUnknownError, ManifestInvalidError
from api.registry.manifests import ManifestContent, read_manifest
from api.registry.storage import RegistryStorage

LEAST_GRACE_SECONDS = 3600.0
"""How long at least what was pushed or asked for stays: longer than the storage waits until it touches a file again."""

_COSIGN_TAG = re.compile(r"sha(?:256-[0-9a-f]{64}|512-[0-9a-f]{128})(?:\.[a-z]+)?")


@dataclass(frozen=True)
class Needs:
    """What must stay besides what is tagged: `digests` in any repository, and everything in the repositories of `busy`.

    `retired_tags` keep nothing. `manifests_go` says whether these are all needs there are; else no manifest is removed, only
    blobs that none lists.
    """

    digests: frozenset[str] = frozenset()
    busy: frozenset[str] = frozenset()
    retired_tags: frozenset[str] = frozenset()
    manifests_go: bool = False


@dataclass
class Collected:
    """What was removed, or would be. `freed` counts the bytes of blobs that no repository has any more."""

    manifests: list[tuple[str, str]] = field(default_factory=list)
    blobs: list[tuple[str, str]] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    repositories: int = 0
    freed: int = 0


def collect(storage: RegistryStorage, needs: Needs, *, now: float, grace: float, dry_run: bool = False) -> Collected:
    """Remove what nothing needs and nobody has touched for `grace` seconds. Call it in a thread.

    `needs` must have been read before this call, and after it nothing may come to need what isn't young or tagged.
    """
    if grace < LEAST_GRACE_SECONDS:
        raise ValueError(f"the grace must be {LEAST_GRACE_SECONDS:g} s at least, or it could take a running push's blobs")
    collected = Collected()
    gone: Counter[str] = Counter()
    for repository in list(storage.repositories()):
        collected.repositories += 1
        if repository in needs.busy:
            collected.skipped.append((repository, "a build is being pushed"))
            continue
        with storage.changing(repository):
            try:
                manifests, blobs = _unneeded(storage, repository, needs, now - grace)
            except ManifestInvalidError as error:  # the disk's fault: what it lists can't be known
                collected.skipped.append((repository, f"a manifest can't be read: {error.message}"))
                continue
            for digest in manifests:
                if not dry_run:
                    storage.delete_manifest(repository, digest)
                collected.manifests.append((repository, digest))
            for digest in blobs:
                gone[digest] += 1
                try:
                    if not dry_run:
                        collected.freed += storage.delete_blob(repository, digest)
                    elif gone[digest] == storage.users(digest):
                        collected.freed += storage.blob_size(repository, digest)
                except (BlobUnknownError, FileNotFoundError):  # a client has deleted it meanwhile
                    continue
                collected.blobs.append((repository, digest))
    collected.freed += storage.delete_stray_contents(now - grace, dry_run=dry_run)
    return collected


def _unneeded(storage: RegistryStorage, repository: str, needs: Needs, young: float) -> tuple[list[str], list[str]]:
    manifests = storage.manifests(repository)
    contents = {digest: _content(storage, repository, digest) for digest in manifests}
    stay = set(manifests)
    if needs.manifests_go:
        roots = {digest for digest, touched in manifests.items() if touched >= young or digest in needs.digests}
        tagged = {tag: storage.manifest(repository, tag) for tag in storage.tags(repository)}
        keeping = {tag for tag in tagged if tag not in needs.retired_tags and not _COSIGN_TAG.fullmatch(tag)}
        roots |= {manifest.digest for tag, manifest in tagged.items() if manifest and tag in keeping}
        attached = {tag: manifest.digest for tag, manifest in tagged.items() if manifest}
        stay = _closure(roots, contents, attached)
    listed = {blob for digest in stay for blob in (*contents[digest].blobs, *contents[digest].foreign_blobs)}
    blobs = storage.blobs(repository)
    return (
        [digest for digest in manifests if digest not in stay],
        [digest for digest, touched in blobs.items() if digest not in listed and touched < young],
    )


def _closure(roots: set[str], contents: dict[str, ManifestContent], attached: dict[str, str]) -> set[str]:
    """The roots that are there, and all that belongs to them. `attached`: what each tag names."""
    referrers: dict[str, set[str]] = {}
    for digest, content in contents.items():
        if content.subject is not None:
            referrers.setdefault(content.subject, set()).add(digest)
    for tag, digest in attached.items():
        if _COSIGN_TAG.fullmatch(tag):
            referrers.setdefault(tag.partition(".")[0].replace("-", ":"), set()).add(digest)
    stay: set[str] = set()
    unread = roots & contents.keys()
    while unread:
        digest = unread.pop()
        stay.add(digest)
        unread |= ({*contents[digest].manifests, *referrers.get(digest, ())} & contents.keys()) - stay
    return stay


def _content(storage: RegistryStorage, repository: str, digest: str) -> ManifestContent:
    manifest = storage.manifest(repository, digest)
    if manifest is None:
        raise ManifestInvalidError(f"{digest} is gone")
    return read_manifest(manifest.content)
