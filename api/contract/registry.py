"""What the IMS says about its built-in registry."""

from pydantic import Field

from api.contract.base import Model


class InRepository(Model):
    """A manifest or a blob of a repository."""

    repository: str
    digest: str


class SkippedRepository(Model):
    """A repository that a collection left alone."""

    repository: str
    reason: str


class Collection(Model):
    """What one collection removed from the built-in registry, or, in a dry run, would remove."""

    dry_run: bool
    repositories: int = Field(description="How many repositories there are.")
    manifests: list[InRepository] = Field(description="Removed: no release, install or open job needs them.")
    blobs: list[InRepository] = Field(description="Removed: no manifest lists them any more.")
    freed_bytes: int = Field(description="The size of the blobs that no repository has any more.")
    skipped: list[SkippedRepository]
