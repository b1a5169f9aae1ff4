"""What a Terraform module takes and gives: its variables and outputs."""

from collections.abc import Iterable
from dataclasses import dataclass

from agent.bundle.hcl import Block, text
from api.contract.base import Json
from api.contract.resources import ModuleOutput, ModuleVariable


@dataclass(frozen=True)
class ModuleInterface:
    """The variables and outputs of a module, by name."""

    variables: tuple[ModuleVariable, ...]
    outputs: tuple[ModuleOutput, ...]


def interface_of(blocks: Iterable[Block]) -> ModuleInterface:
    """Read the interface off a module's blocks. A later block adds to an earlier one of the same name: an override file."""
    variables: dict[str, dict[str, Json]] = {}
    outputs: dict[str, dict[str, Json]] = {}
    for block in blocks:
        declared = {"variable": variables, "output": outputs}.get(block.type)
        if declared is not None:
            declared[block.labels[0]] = declared.get(block.labels[0], {}) | dict(block.body)
    return ModuleInterface(
        tuple(_variable(name, body) for name, body in sorted(variables.items())),
        tuple(ModuleOutput(name=name, sensitive=_true(body, "sensitive")) for name, body in sorted(outputs.items())),
    )


def _variable(name: str, body: dict[str, Json]) -> ModuleVariable:
    type_ = body.get("type")
    return ModuleVariable(
        name=name,
        type=None if type_ is None else text(type_),
        required="default" not in body,
        sensitive=_true(body, "sensitive"),
    )


def _true(body: dict[str, Json], attribute: str) -> bool:
    return text(body.get(attribute, False)).lower() == "true"
