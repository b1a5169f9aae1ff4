"""Resolve one reference: the scheme, what the customer allows, and errors in words."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from agent.failure import CodedError
from agent.secrets.aws import from_secrets_manager
from agent.secrets.env import from_environment
from agent.secrets.file import from_file
from agent.secrets.google import from_secret_manager
from agent.secrets.reference import SecretReference, UnresolvedError, pick
from api.contract.base import Json
from api.contract.secret_references import SCHEMES

ENV_PREFIX = "EXCLAVE_SECRET_"


class SecretUnresolvedError(CodedError):
    """A reference among the sensitive inputs has no value in this account."""

    code = "secret_unresolved"


@dataclass(frozen=True)
class Resolver:
    """What the vendor's references may reach: variables with a prefix, files below a folder, and the cloud's secret stores.

    In those, the agent's own credentials are the limit.
    """

    env: Mapping[str, str]
    env_prefix: str
    folder: Path

    async def resolve(self, name: str, text: str, learn: Callable[[Json], None]) -> str:
        """The value of input `name`, whose reference is `text`. Raises SecretUnresolvedError.

        `learn` gets everything that was read before this returns: also the whole document of which only a part is taken.
        """
        try:
            return await self.read(text, learn)
        except UnresolvedError as error:
            raise SecretUnresolvedError(
                f"input {name!r}: {text} can't be resolved: {error}", remedy=error.remedy, field=f"sensitive_inputs.{name}"
            ) from None

    async def read(self, text: str, learn: Callable[[Json], None]) -> str:
        """The value of the reference `text`. `learn` is as above. Raises UnresolvedError."""
        reference = SecretReference.parse(text)
        value = await asyncio.to_thread(self._read, reference)
        learn(value)
        if reference.key is not None:
            value = pick(value, reference.key)
            learn(value)
        return value

    def _read(self, reference: SecretReference) -> str:
        match reference.scheme:
            case "env":
                return from_environment(reference, self.env, self.env_prefix)
            case "file":
                return from_file(reference, self.folder)
            case "awssm":
                return from_secrets_manager(reference)
            case "gcpsm":
                return from_secret_manager(reference)
        raise UnresolvedError("this agent doesn't know the scheme", f"Write one of: {', '.join(SCHEMES.values())}.")
