"""The one interface of all kinds: `async def build(config, context) -> BuiltArtifact`, in `agent/build/<kind>/build.py`.

A build pushes what it makes into the vendor's registry and says its digest; signing that is the business of `run_build`. Every
build can be repeated: the same config and source give the same digest, and what the registry has isn't sent again.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from agent.build.git import GitLogin
from agent.build.source import FetchedSource, fetch_source
from agent.bundle.zip_store import ZipStore
from agent.engine.find import Engine
from agent.failure import CodedError
from agent.oci.client import RegistryClient
from agent.oci.provenance import Material
from api.contract.base import Name
from api.contract.components import ContainerImageConfig, Source
from api.contract.resources import ModuleOutput, ModuleVariable


class SecretMissingError(CodedError):
    """The config names a secret that didn't come with the job."""

    code = "secret_missing"
    remedy = "Set it with `exclave secrets set NAME`, for this app or for all, and make the release again."


@dataclass(frozen=True)
class BuildContext:
    """What a build works with. `work` is empty and the job's own; `target` is the vendor's registry; `tag` the build's id.

    `secrets` are the named secrets that the config and those of `images` ask for, resolved. `images` are the app's components
    that say how private images are reached. `env` is the agent's environment; what is run for the vendor's source gets no more
    of it than it needs.
    """

    work: Path
    store: ZipStore
    target: RegistryClient
    repository: str
    tag: str
    http: httpx.AsyncClient
    env: Mapping[str, str]
    log: Callable[[str], None]
    engine: Callable[[], Awaitable[Engine]]
    secrets: Mapping[Name, str] = field(default_factory=dict, repr=False)
    images: Sequence[ContainerImageConfig] = ()

    async def fetch(self, source: Source) -> FetchedSource:
        """The source in a folder of its own. Raises what `fetch_source` raises, and SecretMissingError."""
        fetched = await fetch_source(source, self.work, self.env, self.git_login(source))
        self.log(f"fetched the source at {fetched.revision}")
        return fetched

    def git_login(self, source: Source) -> GitLogin | None:
        """With what its repository is read; None for a folder. Raises SecretMissingError."""
        if source.git is None:
            return None
        git, field = source.git, "config.source.git"
        return GitLogin(
            git.username or "git",
            self.secret(git.password_secret, f"{field}.password_secret") if git.password_secret else "",
            self.secret(git.ssh_key_secret, f"{field}.ssh_key_secret") if git.ssh_key_secret else "",
        )

    def secret(self, name: Name, field: str) -> str:
        """The value of the secret that `field` of the config names. Raises SecretMissingError."""
        if name not in self.secrets:
            raise SecretMissingError(f"there is no secret {name!r} that this build may use", field=field)
        return self.secrets[name]


@dataclass(frozen=True)
class BuiltArtifact:
    """What was pushed. `revision` is the commit, the folder's content hash, or the digest that a tag stood for.

    `materials` are what went into it besides its source.
    """

    digest: str
    media_type: str
    artifact_type: str
    size: int
    revision: str
    variables: tuple[ModuleVariable, ...] = ()
    outputs: tuple[ModuleOutput, ...] = ()
    materials: tuple[Material, ...] = ()
