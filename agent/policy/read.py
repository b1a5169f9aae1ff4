"""Read the policy file. Every error names the line, the field and the remedy.

The file is YAML with the plain values of YAML 1.2's core schema: `22:00` and `no` are texts, only `true` and `false` are
booleans. Aliases, tags of a type and a key that stands twice are refused: a file of rules must say what it seems to say.
"""

import re

import yaml
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from agent.build.yaml_reader import YamlWrongError, documents
from agent.failure import CodedError
from agent.policy.document import TIME, PolicyDocument, Rule
from agent.policy.rule_sets import RULE_SETS
from api.contract.base import DIGEST_PATTERN, Json

Path = tuple[str | int, ...]
_REMEDY = "Correct the file; `exclave agent policy check` says whether it is right. See docs/reference/policy.md."
_NUMBER = re.compile(r"[-+]?[0-9]+")
_FLOAT = re.compile(r"[-+]?([0-9]+\.[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?")
_PLAIN: dict[str, Json] = {"": None, "~": None, "null": None, "true": True, "false": False}
_WORDS = {
    "extra_forbidden": "there is no such field",
    "missing": "it is missing",
    "tuple_type": "write a list, such as [a, b]",
    "too_short": "name at least one, or leave the field out",
    "string_too_short": "it is empty",
    "string_type": "write a text; a number needs quotes to be one",
}
_OF_PATTERN = {
    TIME: "write a time such as 22:00, from 00:00 to 24:00",
    DIGEST_PATTERN: "write sha256: and 64 hex digits",
}


class PolicyFileError(CodedError):
    """The policy file can't be used. Nothing runs until it can be."""

    code = "policy_invalid"
    remedy = _REMEDY


def read_policy(file: str, text: str | bytes) -> PolicyDocument:
    """The policy in `text`; `file` is its name for errors. Raises PolicyFileError with all that is wrong, a line each."""
    try:
        nodes = documents(file, text, aliases=False)
    except YamlWrongError as error:
        raise PolicyFileError(str(error)) from None
    if len(nodes) != 1:
        raise PolicyFileError(f"{file} has {len(nodes)} documents; it must have one, which begins with `version: 1`")
    lines: dict[Path, int] = {}
    content = _plain(file, nodes[0], (), lines)
    if not isinstance(content, dict):
        raise PolicyFileError(f"{file}:1 is no mapping; it must begin with `version: 1`")
    try:
        document = PolicyDocument.model_validate(content)
    except ValidationError as error:
        found = error.errors()
        # A list of which nothing is right counts as an empty one, too.
        within = {each["loc"][:depth] for each in found for depth in range(len(each["loc"]))}
        wrong = [
            f"{file}:{_line(lines, each['loc'])}: {_dotted(each['loc'])}{_said(each)}"
            for each in found
            if each["type"] != "too_short" or each["loc"] not in within
        ]
        raise PolicyFileError("\n".join(wrong)) from None
    for index, rule in enumerate(document.rules):
        _check_set(file, rule, _line(lines, ("rules", index, "use")))
    return document


def _check_set(file: str, rule: Rule, line: int) -> None:
    if rule.use and rule.use not in RULE_SETS:
        raise PolicyFileError(
            f"{file}:{line}: there is no ready-made rule {rule.use!r}; there are: {', '.join(sorted(RULE_SETS))}"
        )


def _plain(file: str, node: yaml.Node, path: Path, lines: dict[Path, int]) -> Json:
    """The node's value, and the line of each of its parts, counted from 1."""
    line = node.start_mark.line + 1
    lines.setdefault(path, line)
    if isinstance(node, yaml.ScalarNode):
        return _scalar(node)
    if isinstance(node, yaml.SequenceNode):
        return [_plain(file, item, (*path, index), lines) for index, item in enumerate(node.value)]
    found: dict[str, Json] = {}
    for key, value in node.value:
        at = key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode):
            raise PolicyFileError(f"{file}:{at}: the name of a field must be a plain text")
        if key.value in found:
            raise PolicyFileError(f"{file}:{at}: {_dotted((*path, key.value))}stands there twice")
        lines[(*path, key.value)] = at
        found[key.value] = _plain(file, value, (*path, key.value), lines)
    return found


def _scalar(node: yaml.ScalarNode) -> Json:
    text: str = node.value
    if node.style:
        return text
    if text in _PLAIN:
        return _PLAIN[text]
    if _NUMBER.fullmatch(text):
        return int(text)
    return float(text) if _FLOAT.fullmatch(text) else text


def _line(lines: dict[Path, int], path: Path) -> int:
    """The line of the field, or of the nearest one around it that is written."""
    while path not in lines:
        path = path[:-1]
    return lines[path]


def _dotted(path: Path) -> str:
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).lstrip(".")
    return f"{text}: " if text else ""


def _said(error: ErrorDetails) -> str:
    if error["type"] == "string_pattern_mismatch" and (words := _OF_PATTERN.get(error["ctx"]["pattern"])):
        return words
    return _WORDS.get(error["type"]) or error["msg"].removeprefix("Value error, ")
