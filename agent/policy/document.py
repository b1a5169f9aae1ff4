"""The policy file as it is written: see docs/reference/policy.md. Every field that is left out limits nothing."""

import re
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field, model_validator

from agent.policy.planned import Action
from api.contract.base import Digest, Json, Model
from api.contract.components import ComponentKind

FileOperation = Literal["plan", "apply", "destroy"]
Changing = Literal["apply", "destroy"]
Windowed = Literal["apply", "destroy", "update"]
Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
Effect = Literal["refuse", "ask"]

TIME = r"^([01][0-9]|2[0-3]):[0-5][0-9]$|^24:00$"


def _time_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ValueError, OSError, LookupError):
        raise ValueError(f"{name!r} is no time zone of this machine's database; write one like Europe/Berlin or UTC") from None
    return name


def _expression(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"it is no regular expression: {error}") from None
    return text


Expression = Annotated[str, Field(min_length=1), AfterValidator(_expression)]
TimeZone = Annotated[str, AfterValidator(_time_zone)]
TimeOfDay = Annotated[str, Field(pattern=TIME, description="`HH:MM`, from 00:00 to 24:00.")]
Glob = Annotated[str, Field(min_length=1, description="`*` stands for any characters, `?` for one, `[ab]` for one of these.")]
Globs = Annotated[tuple[Glob, ...], Field(min_length=1)]


class Window(Model):
    """A time in which the operations may begin. It belongs to the day on which it begins, also where it goes past midnight."""

    days: tuple[Day, ...] = Field(default=("mon", "tue", "wed", "thu", "fri", "sat", "sun"), min_length=1)
    begins: TimeOfDay = Field(alias="from")
    ends: TimeOfDay = Field(alias="to")
    time_zone: TimeZone
    operations: tuple[Windowed, ...] = Field(default=("apply", "destroy", "update"), min_length=1)


class Condition(Model):
    """What an attribute must be for the rule to hold of an object: exactly one of the tests.

    `attribute` is a dotted path; `*` goes through every item of a list or a map. A value that isn't known before the apply
    passes every test, because it may turn out so.
    """

    attribute: str = Field(min_length=1)
    equals: Json = None
    one_of: tuple[Json, ...] | None = None
    like: Glob | None = None
    changes: Literal[True] | None = None

    @model_validator(mode="after")
    def _one_test(self) -> "Condition":
        given = self.model_fields_set & {"equals", "one_of", "like", "changes"}
        if len(given) != 1:
            raise ValueError("give exactly one of `equals`, `one_of`, `like` and `changes`")
        return self


class Rule(Model):
    """What is refused, or asked about: a plan with an object for which everything holds that the rule says."""

    name: str = Field(default="", max_length=100, description="What refusals say; with `use`, that name if it is left out.")
    message: str = Field(default="", max_length=500, description="What the vendor is told, besides the rule's name.")
    effect: Effect = "refuse"
    use: str | None = Field(default=None, description="A ready-made set of rules, instead of the fields from `types` on.")
    operations: tuple[Changing, ...] = Field(default=("apply", "destroy"), min_length=1)
    components: Globs = ("*",)
    kinds: tuple[ComponentKind, ...] | None = Field(default=None, min_length=1)
    types: Globs = ("*",)
    actions: tuple[Action, ...] | None = Field(default=None, min_length=1)
    namespaces: Globs = ("*",)
    addresses: Globs = ("*",)
    where: tuple[Condition, ...] = ()

    @model_validator(mode="after")
    def _named(self) -> "Rule":
        own = self.model_fields_set & {"types", "actions", "namespaces", "addresses", "where"}
        if self.use and own:
            raise ValueError(f"a rule with `use` has its own {', '.join(sorted(own))}: leave out either")
        if not self.use and not self.name:
            raise ValueError("a rule needs a name: refusals say it")
        return self


class Rego(Model):
    """Rules in Rego, run by a program `opa` of the customer's."""

    opa: str = Field(default="opa", min_length=1, description="The program: a path, or a name that PATH has.")
    files: tuple[str, ...] = Field(min_length=1, description="Files or folders, absolute or from the policy file's folder.")
    query: str = Field(default="data.exclave.deny", min_length=1, description="What gives the messages: a set of texts.")
    seconds: float = Field(default=30, gt=0, le=600)


class Updates(Model):
    """What may happen to the agent itself, when the vendor has signed a higher version of it."""

    mode: Literal["off", "ask", "auto"] = Field(
        default="ask",
        description="`ask`: it is brought here and waits for `exclave agent update`. `auto`: it is tried at once.",
    )
    versions: Globs = Field(default=("*",), description="Which versions, such as `0.2.*`, or a single one.")


Releases = Literal["any", "signed", "forward"]


class PolicyDocument(Model):
    """The whole file."""

    version: Literal[1]
    mode: Literal["normal", "read_only"] = "normal"
    kinds: tuple[ComponentKind, ...] | None = None
    components: Globs = ("*",)
    revoked: tuple[Digest, ...] = Field(default=(), description="Artifacts that are neither brought here nor run any more.")
    releases: Releases = Field(
        default="any",
        description="Which releases may run. `signed`: what the vendor has signed as a release, artifact and config alike. "
        "`forward`: that, and none older than what was applied.",
    )
    rules: tuple[Rule, ...] = ()
    rego: Rego | None = None
    windows: tuple[Window, ...] = Field(default=(), min_length=1)
    redact: tuple[Expression, ...] = ()
    plan_values: Literal["names", "redacted"] = Field(
        default="names",
        description="What the vendor sees of a Terraform plan beside addresses: the names of attributes, or also their values, "
        "without those that are sensitive or have a known secret in them.",
    )
    environment: dict[FileOperation, dict[str, str]] = Field(default_factory=dict)
    updates: Updates = Updates()

    @model_validator(mode="after")
    def _unique(self) -> "PolicyDocument":
        names = [rule.name or rule.use for rule in self.rules]
        twice = sorted({str(name) for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"two rules have the name {twice[0]!r}")
        return self
