"""The plugin protocol, version 1, whole in docs/reference/plugins.md: one JSON object in on stdin, one out on stdout.

    validate  Is this config right?                                  -> problems
    build     Make what is to travel from the source.                -> name, version, images
    plan      What would `apply` do, given the state?                -> changes, plan
    apply     Do what this plan says.                                -> outputs, state
    destroy   Remove what the state says is there.                   -> state

Everything but the answer goes to stderr, which is the job's log. Fields that a side doesn't know are ignored.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field

from agent.failure import CodedError
from api.contract.base import Json

VERSION: Literal[1] = 1
GROUP = "exclave.components"
"""The entry points that are plugins: each a class without arguments for its constructor that is a `Plugin`."""

Operation = Literal["validate", "build", "plan", "apply", "destroy"]


class _Open(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Request(_Open):
    """What a plugin is asked. `source` and `output` are folders, for `build`; `state` and `plan` are the plugin's own words.

    `images` are for `plan` and what comes after it: from each image that the plugin named to where the customer's registry
    has it.
    """

    protocol: Literal[1] = VERSION
    operation: Operation
    component: str
    environment: dict[str, str] = Field(default_factory=dict)
    images: dict[str, str] = Field(default_factory=dict)
    source: str | None = None
    output: str | None = None
    state: Json = None
    plan: Json = None


class Problem(_Open):
    """What is wrong with a config. `field` is one of its fields, such as `environment.REGION`."""

    message: str
    field: str | None = None
    remedy: str = ""


class Change(_Open):
    """One thing that `apply` would do."""

    address: str
    actions: list[Literal["create", "update", "delete"]]


class Answer(_Open):
    """What a plugin answers; `error` says that it couldn't do it. Which other fields count depends on the operation.

    `sensitive` names outputs that stay in the customer's account.
    """

    error: Problem | None = None
    problems: list[Problem] = Field(default_factory=list)
    name: str = ""
    version: str = ""
    images: list[str] = Field(default_factory=list)
    changes: list[Change] = Field(default_factory=list)
    plan: Json = None
    outputs: dict[str, Json] = Field(default_factory=dict)
    sensitive: list[str] = Field(default_factory=list)
    state: Json = None


class Plugin(Protocol):
    """A plugin, wherever it runs."""

    async def ask(self, request: Request) -> Answer:
        """Do one operation. Raises PluginError if the plugin breaks the protocol, never for an `error` of its own."""
        ...


class PythonPlugin(Protocol):
    """What an entry point of GROUP is: one method that does what an executable does, in a thread of the agent."""

    def ask(self, request: dict[str, Json]) -> dict[str, Json]:
        """One operation, as JSON objects."""
        ...


class PluginError(CodedError):
    """The plugin doesn't keep to the protocol, can't be started, or said that it couldn't do it."""

    code = "plugin_failed"
    remedy = "Run the plugin's conformance test: `python -m agent.plugin.conformance FOLDER COMMAND…`."


def good(answer: Answer, what: str, field: str) -> Answer:
    """The answer, unless it is an error. Raises PluginError with the plugin's words."""
    if answer.error is not None:
        raise PluginError(f"{what}: {answer.error.message}", remedy=answer.error.remedy, field=answer.error.field or field)
    return answer


def program_of(command: Sequence[str], folder: Path) -> list[str]:
    """A command's argv, with a path that begins with `./` inside of `folder`. Raises PluginError for one that leaves it."""
    first = command[0]
    if not first.startswith("./"):
        return list(command)
    try:
        path = (folder / first).resolve()
        inside = path.is_relative_to(folder.resolve()) and path.is_file()
    except (OSError, ValueError):  # what can't be a path
        inside = False
    if not inside:
        raise PluginError(f"the source has no program {first!r}", remedy="Correct the command.", field="config.command")
    return [str(path), *command[1:]]
