"""From what the IMS refuses to what Terraform shows: the attribute at fault, what is wrong, what to do."""

from collections.abc import Iterator
from contextlib import contextmanager

from provider_bridge.framework.diagnostics import Diagnostic, Key, Path, RefusedError, error
from provider_bridge.framework.schema import Body
from provider_bridge.problems import ProblemError, StoppedError, UnreachableError
from provider_bridge.resources.wire import is_text_map


@contextmanager
def refusals(schema: Body) -> Iterator[None]:
    """Raises what goes wrong with the IMS inside the block as RefusedError, on the attributes that the IMS names."""
    try:
        yield
    except ProblemError as problem:
        raise RefusedError(*diagnostics_of(problem, schema)) from problem
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


def diagnostics_of(problem: ProblemError, schema: Body) -> list[Diagnostic]:
    """One error for each field that the problem names; one for the whole resource if it names none."""
    if not problem.errors:
        return [error(problem.title, problem.detail, remedy=_remedy(problem))]
    if problem.code == "precondition_failed":
        # What somebody has changed is named once for each attribute, however many of its entries that were.
        told = {attribute_path(schema, each.field)[0][:1]: each for each in problem.errors}
        return [error(problem.title, f"{each.message}.", remedy=_remedy(problem), path=path) for path, each in told.items()]
    return [
        at_attribute(schema, problem.title, each.field, each.message, each.remedy or problem.remedy) for each in problem.errors
    ]


def at_attribute(schema: Body, summary: str, field: str, message: str, remedy: str) -> Diagnostic:
    """An error on the attribute for a field of the API's body."""
    path, whole = attribute_path(schema, field)
    return error(summary, message if whole else f"{field}: {message}", remedy=remedy, path=path)


def attribute_path(schema: Body, field: str) -> tuple[Path, bool]:
    """The attribute for a dotted field of the API's body, and whether the path says all that the field says.

    The field's longest known beginning counts: `config.source.path.digest` is the block `path`, not wholly. What the API calls
    `config` and `source` are the resource itself in HCL, and `value` of a secret its write-only attribute.
    """
    parts = field.split(".")
    for outer in ("config", "source"):
        if parts[0] == outer and outer not in schema.attributes:
            parts.pop(0)
    if f"{parts[0]}_wo" in schema.attributes:
        parts[0] += "_wo"
    path: Path = ()
    body: Body | None = schema
    while parts and body is not None:
        name = parts[0]
        if name in body.blocks:
            path, body = (*path, parts.pop(0)), body.blocks[name]
            continue
        attribute = body.attributes.get(name)
        if attribute is None:
            break
        path, body = (*path, parts.pop(0)), attribute.inner
        if not parts:
            break
        if is_text_map(attribute):
            # Nothing is below a text, and its key may have dots.
            return (*path, Key(".".join(parts))), True
        if attribute.nesting == "map" or isinstance(attribute.type, list):
            part = parts.pop(0)
            path = (*path, int(part) if part.isdigit() else Key(part))
    return path, not parts


def _remedy(problem: ProblemError) -> str:
    if problem.code == "precondition_failed":
        return "Nothing is overwritten. Plan again: the new plan is made of what is there now."
    if problem.remedy or problem.status not in (401, 403):
        return problem.remedy
    return "Set the provider's `token` or `token_file` (or EXCLAVE_TOKEN, EXCLAVE_TOKEN_FILE) to a token that may do this."
