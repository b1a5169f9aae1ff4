"""How far a token goes that is bound to some digests (`digest-pinned`): these manifests and what belongs to them.

What belongs to a manifest: the blobs and manifests that it lists, its signature and the like (under its cosign tags) and its
referrers; and what belongs to those. Nothing else of the repository can be read, whatever it is tagged.
"""

import threading
from collections import OrderedDict
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from api.registry import names
from api.registry.access import Access
from api.registry.manifests import read_manifest
from api.registry.storage import RegistryStorage

_Key = tuple[str, frozenset[str]]
_MOST_KNOWN = 64
"""So many tickets are read with at once; each reach is some hundred digests."""


@dataclass(frozen=True)
class Reach:
    """All that such a token may read, at this moment."""

    manifests: frozenset[str]
    blobs: frozenset[str]

    def has_reference(self, reference: str) -> bool:
        """Whether a manifest may be asked for in this way: by digest, or by a cosign tag of one, be it there or not."""
        return reference in self.manifests or any(reference in names.cosign_tags(digest) for digest in self.manifests)


class KnownReaches:
    """The last few reaches of each storage, each with the number of the repository's changes when it was followed."""

    def __init__(self) -> None:
        self._by_storage: WeakKeyDictionary[RegistryStorage, OrderedDict[_Key, tuple[int, Reach]]] = WeakKeyDictionary()
        self._lock = threading.Lock()

    def reach_of(self, storage: RegistryStorage, repository: str, digests: frozenset[str]) -> Reach:
        """As `reach_of`, but followed anew only where the repository has changed."""
        changes, key = storage.changes(repository), (repository, digests)
        with self._lock:
            found = self._by_storage.setdefault(storage, OrderedDict())
            known = found.get(key)
        if known is not None and known[0] == changes:
            return known[1]
        reach = reach_of(storage, repository, digests)
        with self._lock:
            found[key] = changes, reach
            found.move_to_end(key)
            while len(found) > _MOST_KNOWN:
                found.popitem(last=False)
        return reach


_KNOWN = KnownReaches()


def reach_of(storage: RegistryStorage, repository: str, digests: frozenset[str]) -> Reach:
    """Follow the manifests from these digests. Reads the storage: call it in a thread."""
    manifests: set[str] = set()
    blobs: set[str] = set()
    unread = set(digests)
    while unread:
        digest = unread.pop()
        manifests.add(digest)
        manifest = storage.manifest(repository, digest)
        if manifest is None:
            continue
        listed = read_manifest(manifest.content)
        blobs.update(listed.blobs, listed.foreign_blobs)
        # Only digests: what is listed as `latest`, say, would lead to whatever that tag names.
        found = set(filter(names.is_digest, listed.manifests))
        found.update(referrer.digest for referrer in storage.referrers(repository, digest))
        attached = (storage.manifest(repository, tag) for tag in names.cosign_tags(digest))
        found.update(manifest.digest for manifest in attached if manifest is not None)
        unread |= found - manifests
    return Reach(frozenset(manifests), frozenset(blobs))


def may_read_blob(storage: RegistryStorage, access: Access, digest: str) -> bool:
    """Whether a pull may read this blob. Reads the storage: call it in a thread."""
    return access.digests is None or digest in _KNOWN.reach_of(storage, access.repository, access.digests).blobs


def may_read_manifest(storage: RegistryStorage, access: Access, reference: str) -> bool:
    """Whether a pull may ask for a manifest in this way. Reads the storage: call it in a thread."""
    if access.digests is None:
        return True
    return _KNOWN.reach_of(storage, access.repository, access.digests).has_reference(reference)
