"""Read YAML that others wrote: no types but plain ones, no depth or aliases that could do harm.

Every document is looked through as a stream of events first, because building a deeply nested one overflows the stack: in
Python an exception, in C the end of the process.
"""

import yaml

from agent.failure import CodedError
from api.contract.base import Json

_MOST_DEPTH = 100

# The parser in C where there is one: it is ten times as fast.
_Loader: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class YamlWrongError(CodedError):
    """A file isn't YAML that can be read."""

    code = "yaml_wrong"
    remedy = "Correct the file."


def documents(file: str, text: str | bytes, *, aliases: bool = True) -> list[yaml.Node]:
    """The documents of a file as nodes, which know their lines, without empty ones. Blocks. Raises YamlWrongError.

    Aliases are nodes that stand in several places: whoever walks must not walk them twice.
    """
    try:
        _check(file, text, aliases=aliases)
        return [document for document in yaml.compose_all(text, Loader=_Loader) if document is not None]
    except (yaml.YAMLError, UnicodeError) as error:
        raise _wrong(file, error) from None


def load(file: str, text: str | bytes) -> Json:
    """The one document of a file as plain values. Blocks. Raises YamlWrongError, also for aliases."""
    try:
        _check(file, text, aliases=False)
        return yaml.load(text, Loader=_Loader)  # noqa: S506 - a safe loader
    except (yaml.YAMLError, ValueError, LookupError, AttributeError, TypeError, OverflowError) as error:
        raise _wrong(file, error) from None  # a tag whose value isn't of its type, such as `!!bool x`, fails in many ways


def _check(file: str, text: str | bytes, *, aliases: bool) -> None:
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > _MOST_DEPTH:
                raise YamlWrongError(f"{file}:{event.start_mark.line + 1} is nested more than {_MOST_DEPTH} deep")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        elif isinstance(event, yaml.AliasEvent) and not aliases:
            raise YamlWrongError(f"{file}:{event.start_mark.line + 1} has an alias, which isn't taken here")


def _wrong(file: str, error: Exception) -> YamlWrongError:
    mark = getattr(error, "problem_mark", None)
    at = f"{file}:{mark.line + 1}" if mark else file
    return YamlWrongError(f"{at} isn't YAML: {getattr(error, 'problem', None) or 'it can not be read'}")
