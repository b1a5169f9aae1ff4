"""The base of every model in the contract, and the names and ids that they share."""

from datetime import datetime
from typing import Annotated, Any, ClassVar, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, model_validator

T = TypeVar("T")

NAME_PATTERN = r"^[a-z]([a-z0-9_-]{0,61}[a-z0-9])?$"
NAME_RULE = "1 to 63 of a-z, 0-9, `-` and `_`; begins with a letter, ends with a letter or a digit."

Name = Annotated[str, Field(pattern=NAME_PATTERN, description=NAME_RULE)]
"""A name that people type. It is used in URLs, repository names and references."""

DIGEST_PATTERN = r"^sha256:[0-9a-f]{64}$"
Digest = Annotated[str, Field(pattern=DIGEST_PATTERN, description="An OCI digest: `sha256:` and 64 hex digits.")]

Json = Any
"""Any JSON value. Where it appears in a model, the field's own description says what is allowed."""


class Model(BaseModel):
    """A frozen model that refuses unknown fields."""

    model_config = ConfigDict(extra="forbid", frozen=True, ser_json_bytes="base64", val_json_bytes="base64")


class OneOf(Model):
    """A model of which exactly one of some fields is set."""

    exactly_one_of: ClassVar[tuple[str, ...]]

    @model_validator(mode="after")
    def _exactly_one(self) -> "OneOf":
        if sum(getattr(self, name) is not None for name in self.exactly_one_of) != 1:
            *names, last = (f"`{name}`" for name in self.exactly_one_of)
            raise ValueError(f"give exactly one of {', '.join(names)} and {last}")
        return self


class Page(Model, Generic[T]):
    """One page of a collection, oldest first.

    `after` is the cursor for the next page (`?after=`), or None on the last one. It is opaque: don't build it, don't store it.
    """

    items: list[T]
    after: str | None = None


class Failure(Model):
    """Why a build, a step or a deploy failed. Shown to people, so it says what to do.

    `code` is stable and machine-readable; `field` is a dotted path into the config that caused it, if there is one.
    """

    code: str = Field(description="A stable code, such as `source_not_found`.")
    message: str = Field(description="What is wrong, in words.")
    remedy: str = Field(default="", description="What to do about it.")
    field: str | None = Field(default=None, description="The part of the config that caused it.")
    retryable: bool = Field(default=False, description="Whether trying again can help.")


AgentKind = Literal["build", "install"]
Timestamp = datetime
"""Always UTC, with its offset: `2026-11-21T09:00:00Z`."""
