"""Probes: what the vendor declares to be looked at, from the install agent, once a component is deployed.

There is no probe that runs a command. The build agent signs a config as the IMS sends it: what may run in the customer's
account has to come from a source, which `--allow-source` can limit. A command that looks at something is a component of kind
`custom`. See docs/decisions/0023.
"""

from collections.abc import Mapping
from typing import Annotated, ClassVar

from pydantic import Field, model_validator

from api.contract.base import Name, OneOf

MAX_PROBES = 20
MAX_SECONDS = 1800
"""So long may the attempts of one probe take together."""


class Probe(OneOf):
    """One thing to look at: healthy once it answers as expected, degraded if it hasn't after the last attempt."""

    exactly_one_of: ClassVar[tuple[str, ...]] = ("http", "tcp")

    http: str | None = Field(
        default=None,
        min_length=1,
        description="A URL to GET, `http://` or `https://`. It may hold references, such as `{{ self.outputs.url }}`.",
    )
    tcp: str | None = Field(
        default=None,
        min_length=1,
        description="A `HOST:PORT` to connect to. It may hold references, such as `{{ self.outputs.host }}`.",
    )
    status: int | None = Field(
        default=None, ge=100, le=599, description="The status that `http` must answer with; left out, any from 200 to 299."
    )
    timeout_seconds: int = Field(default=5, ge=1, le=60, description="How long one attempt may take.")
    interval_seconds: int = Field(default=5, ge=1, le=300, description="How long to wait between attempts.")
    attempts: int = Field(default=6, ge=1, le=100, description="How often to try before it counts as degraded.")

    @model_validator(mode="after")
    def _fits(self) -> "Probe":
        if self.status is not None and self.http is None:
            raise ValueError("`status` is only for `http`")
        if self.attempts * self.timeout_seconds + (self.attempts - 1) * self.interval_seconds > MAX_SECONDS:
            raise ValueError(f"all attempts together may take {MAX_SECONDS} seconds: make them fewer or shorter")
        return self


Probes = Annotated[
    dict[Name, Probe],
    Field(
        max_length=MAX_PROBES,
        description="What the install agent looks at, by name, after each apply and in each drift run: the component is then "
        "`healthy`, `degraded` or `unknown`.",
        exclude_if=lambda probes: not probes,
    ),
]


def probe_texts(probes: Mapping[str, Probe]) -> dict[str, str]:
    """The texts of probes that may hold references, by their field."""
    texts = ((name, kind, getattr(probe, kind)) for name, probe in probes.items() for kind in ("http", "tcp"))
    return {f"probes.{name}.{kind}": text for name, kind, text in texts if text}
