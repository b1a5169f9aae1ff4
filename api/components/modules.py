"""What only built modules can tell of an app: variables that aren't declared or are missing, unknown outputs. Pure."""

from collections.abc import Mapping
from typing import Protocol

from api.components.graph import readable_references, suggestion
from api.contract.base import Failure
from api.contract.components import ComponentConfig, TerraformModuleConfig
from api.contract.resources import ModuleOutput, ModuleVariable


class Declared(Protocol):
    """What a module declares, as its build has found it."""

    variables: list[ModuleVariable]
    outputs: list[ModuleOutput]


def check_modules(configs: dict[str, ComponentConfig], made: Mapping[str, Declared]) -> list[Failure]:
    """What is wrong, with fields that begin with `components.<name>.`. A component that isn't in `made` is taken as right."""
    failures = []
    for name, config in configs.items():
        if isinstance(config, TerraformModuleConfig) and name in made:
            failures += _wrong_variables(name, config, made[name])
        for field, refs in readable_references(config).items():
            for ref in refs:
                if ref.component is None or ref.component not in made or ref.path[2] != "outputs":
                    continue
                declared = [output.name for output in made[ref.component].outputs]
                if ref.path[3] not in declared:
                    failures.append(
                        Failure(
                            code="unresolved_reference",
                            message=f"component {name}: {ref} refers to an output that {ref.component} doesn't declare; "
                            f"it has: {', '.join(declared) or 'none'}",
                            remedy=suggestion(ref.path[3], declared) or "Declare the output, or correct the name.",
                            field=f"components.{name}.{field}",
                        )
                    )
    return failures


def _wrong_variables(name: str, config: TerraformModuleConfig, made: Declared) -> list[Failure]:
    declared = {variable.name: variable for variable in made.variables}
    failures = [
        Failure(
            code="unknown_variable",
            message=f"component {name}: the module declares no variable {given!r}; it has: {', '.join(declared) or 'none'}",
            remedy=suggestion(given, list(declared)) or "Declare the variable in the module, or remove it here.",
            field=f"components.{name}.variables.{given}",
        )
        for given in config.variables
        if given not in declared
    ]
    return failures + [
        Failure(
            code="missing_variable",
            message=f"component {name}: the module's variable {variable.name!r} has no default and gets no value",
            remedy=f"Set `variables.{variable.name}` of the component, or give the variable a default.",
            field=f"components.{name}.variables",
        )
        for variable in made.variables
        # A file of variables may set any; what is in it, only the engine knows.
        if variable.required and variable.name not in config.variables and not config.var_files
    ]
