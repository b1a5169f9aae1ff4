"""A collection as the API and the command show it. Without the database: a registry that runs alone has none."""

from api.contract.registry import Collection, InRepository, SkippedRepository
from api.registry.collect import Collected


def public(collected: Collected, *, dry_run: bool) -> Collection:
    """As the API shows it."""
    return Collection(
        dry_run=dry_run,
        repositories=collected.repositories,
        manifests=[InRepository(repository=repository, digest=digest) for repository, digest in collected.manifests],
        blobs=[InRepository(repository=repository, digest=digest) for repository, digest in collected.blobs],
        freed_bytes=collected.freed,
        skipped=[SkippedRepository(repository=repository, reason=reason) for repository, reason in collected.skipped],
    )
