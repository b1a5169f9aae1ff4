"""From what the IMS refuses to what Terraform shows: the attribute at fault, what is wrong, what to do."""

from collections.abc import Iterator
from contextlib import contextmanager

from provider_bridge.framework.diagnostics import Diagnostic, Key, Path, RefusedError, error
from provider_bridge.framework.schema import Attributes
from provider_bridge.problems import ProblemError, StoppedError, UnreachableError


@contextmanager
def refusals(attributes: Attributes) -> Iterator[None]:
    """Raises what goes wrong with the IMS inside the block as RefusedError, on the attributes that the IMS names."""
    try:
        yield
    except ProblemError as problem:
        raise RefusedError(*diagnostics_of(problem, attributes)) from problem
    except UnreachableError as problem:
        raise RefusedError(
            error(
                "The IMS can't be reached",
                str(problem),
                remedy="Check the provider's `url` (or EXCLAVE_URL), and that the IMS runs.",
            )
        ) from problem
    except StoppedError as problem:
        raise RefusedError(error("Stopped", "Terraform was asked to stop while the provider waited to try again.")) from problem


def diagnostics_of(problem: ProblemError, attributes: Attributes) -> list[Diagnostic]:
    """One error for each field that the problem names; one for the whole resource if it names none."""
    if not problem.errors:
        return [error(problem.title, problem.detail, remedy=_remedy(problem))]
    found = []
    for each in problem.errors:
        path, whole = attribute_path(attributes, each.field)
        message = each.message if whole else f"{each.field}: {each.message}"
        found.append(error(problem.title, message, remedy=each.remedy or problem.remedy, path=path))
    return found


def attribute_path(attributes: Attributes, field: str) -> tuple[Path, bool]:
    """The attribute for a dotted field of the API's body, and whether the path says all that the field says.

    The field's longest known beginning counts: `config.source.path.digest` is the attribute `source.path`, not wholly.
    """
    parts = field.removeprefix("config.").split(".")
    path: Path = ()
    while parts and parts[0] in attributes:
        attribute = attributes[parts[0]]
        path = (*path, parts.pop(0))
        is_map = attribute.nesting == "map" or isinstance(attribute.type, list)
        if is_map and parts:
            path = (*path, Key(parts.pop(0)))
        if attribute.nested is None:
            break
        attributes = attribute.nested
    return path, not parts


def _remedy(problem: ProblemError) -> str:
    if problem.remedy or problem.status not in (401, 403):
        return problem.remedy
    return "Set the provider's `token` or `token_file` (or EXCLAVE_TOKEN, EXCLAVE_TOKEN_FILE) to a token that may do this."
