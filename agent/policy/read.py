"""Read the policy file. Every error names the line, the field and the remedy.

The file is YAML with the plain values of YAML 1.2's core schema: `22:00` and `no` are texts, only `true` and `false` are
booleans. Aliases, tags of a type and a key that stands twice are refused: a file of rules must say what it seems to say.
"""

import re

import yaml
from pydantic import ValidationError

from agent.build.yaml_reader import YamlWrongError, documents
from agent.failure import CodedError
from agent.policy.document import PolicyDocument, Rule
from agent.policy.rule_sets import RULE_SETS
from api.contract.base import Json

Path = tuple[str | int, ...]
_REMEDY = "Correct the file; `exclave agent policy check` says whether it is right. See docs/reference/policy.md."
_NUMBER = re.compile(r"[-+]?[0-9]+")
_FLOAT = re.compile(r"[-+]?([0-9]+\.[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?")
_PLAIN: dict[str, Json] = {"": None, "~": None, "null": None, "true": True, "false": False}
_WORDS = {
    "Extra inputs are not permitted": "there is no such field",
    "Field required": "it is missing",
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
        wrong = [f"{file}:{_line(lines, each['loc'])}: {_dotted(each['loc'])}{_said(each['msg'])}" for each in error.errors()]
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


def _said(message: str) -> str:
    for begins, words in _WORDS.items():
        if message.startswith(begins):
            return words
    return message.removeprefix("Value error, ")
