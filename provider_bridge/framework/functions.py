"""Provider functions: pure, `provider::exclave::name(…)` in a configuration. They run on an unconfigured provider."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

from provider_bridge.protocol.values import Value


@dataclass(frozen=True)
class Parameter:
    """One parameter. `type` is a JSON type constraint.

    Null and unknown arguments reach the function only if it says `nullable` or `unknown`; otherwise Terraform refuses the one
    and takes the result of the other to be unknown.
    """

    name: str
    type: Value
    description: str
    nullable: bool = False
    unknown: bool = False


class FunctionError(Exception):
    """A call that can't be answered. `argument` counts from 0 and says which one is at fault; None: none alone."""

    def __init__(self, message: str, argument: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.argument = argument


class Function(ABC):
    """One function. `returns` is a JSON type constraint; `deprecated` says what to use instead."""

    parameters: tuple[Parameter, ...] = ()
    variadic: Parameter | None = None
    returns: Value
    summary: str
    description: str = ""
    deprecated: str = ""

    @abstractmethod
    def run(self, arguments: list[Value]) -> Value:
        """The result. Variadic arguments follow the others. Raises FunctionError."""
