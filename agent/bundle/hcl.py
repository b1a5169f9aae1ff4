"""The blocks of Terraform's configuration files, from HCL and JSON syntax alike."""

import json
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from agent.failure import CodedError
from api.contract.base import Json


class ModuleUnreadableError(CodedError):
    """A file of the module isn't valid HCL or JSON."""

    code = "module_unreadable"
    remedy = "Correct the file (`terraform validate` shows the same error), and apply again."


@dataclass(frozen=True)
class Block:
    """One block: `variable "region" { … }` has the type `variable` and the labels `("region",)`."""

    type: str
    labels: tuple[str, ...]
    body: Mapping[str, Json]


_LABELS = {
    "terraform": 0,
    "variable": 1,
    "output": 1,
    "module": 1,
    "provider": 1,
    "resource": 2,
    "data": 2,
    "check": 1,
    "ephemeral": 2,
}
"""How many labels each block type has that matters here; others are passed over."""

_PARSER = threading.Lock()
"""The parser is one object for the whole process, and not made for threads."""

LOCK_FILE = ".terraform.lock.hcl"


def warm_up() -> None:
    """Parse something small: the first parse of a process takes a second, which a build agent spends before its first job."""
    _parse_hcl("a = 1\n")


def has_configuration(folder: Path) -> bool:
    """Whether the folder itself has Terraform files."""
    return bool(_configuration_files(folder))


def read_blocks(folder: Path) -> list[Block]:
    """All blocks of a module, override files last, as Terraform merges them. Blocks; raises ModuleUnreadableError."""
    files = sorted(_configuration_files(folder), key=lambda file: (_is_override(file), file.name))
    return [block for file in files for block in _blocks_of(parse_file(file))]


def read_lock(folder: Path) -> dict[str, list[str]]:
    """The hashes of each provider in the module's lock file, by the provider's address; none without one."""
    file = folder / LOCK_FILE
    if not file.is_file():
        return {}
    locked = _labelled("provider", parse_file(file).get("provider", []), 1)
    return {block.labels[0]: sorted(text(each) for each in block.body.get("hashes", [])) for block in locked}


def text(value: Json) -> str:
    """A literal string of either syntax, or an expression without its `${}`."""
    written = str(value)
    if len(written) > 1 and written[0] == written[-1] == '"':
        return written[1:-1]
    return written.removeprefix("${").removesuffix("}") if written.startswith("${") else written


def _configuration_files(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.name.endswith((".tf", ".tf.json")) and path.is_file()]


def _is_override(file: Path) -> bool:
    stem = file.name.removesuffix(".json").removesuffix(".tf")
    return stem == "override" or stem.endswith("_override")


def parse_file(file: Path) -> Mapping[str, Json]:
    """A file of either syntax as a document. Blocks; raises ModuleUnreadableError."""
    try:
        content = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ModuleUnreadableError(f"{file.name} isn't UTF-8: {error.reason} at byte {error.start}") from None
    if not file.name.endswith(".json"):
        return _parse_hcl(content, file.name)
    try:
        document = json.loads(content)
    except ValueError as error:
        line = f":{error.lineno}" if isinstance(error, json.JSONDecodeError) else ""
        raise ModuleUnreadableError(f"{file.name}{line} isn't JSON: {error}") from None
    if not isinstance(document, dict):
        raise ModuleUnreadableError(f"{file.name} isn't a JSON object")
    return document


def _parse_hcl(content: str, name: str = "") -> Mapping[str, Json]:
    # Imported here, as it takes half a second and only builds need it.
    import hcl2
    from hcl2.utils import SerializationOptions
    from lark.exceptions import LarkError, UnexpectedInput

    options = SerializationOptions(with_comments=False, explicit_blocks=False)
    try:
        # Terraform takes a last line without its end; the parser wants one after a comment or a heredoc.
        with _PARSER:
            document: dict[str, Json] = hcl2.loads(content + "\n", serialization_options=options)
    except UnexpectedInput as error:
        lines = content.splitlines()
        at = (
            f"column {error.column}: {lines[error.line - 1].strip()}" if 0 < error.line <= len(lines) else "the end of the file"
        )
        raise ModuleUnreadableError(f"{name}:{error.line} isn't valid HCL, at {at}") from None
    except (LarkError, RuntimeError) as error:
        raise ModuleUnreadableError(f"{name} isn't valid HCL: {error}") from None
    return document


def _blocks_of(document: Mapping[str, Json]) -> Iterator[Block]:
    for type_, labels in _LABELS.items():
        for block in _labelled(type_, document.get(type_, []), labels):
            yield block
            if type_ == "check":  # it may hold a data source of its own
                yield from _labelled("data", block.body.get("data", []), _LABELS["data"])


def _labelled(type_: str, value: Json, labels: int, seen: tuple[str, ...] = ()) -> Iterator[Block]:
    """Both syntaxes nest labels as objects and repeat blocks as lists, at any level."""
    for each in value if isinstance(value, list) else [value]:
        if not isinstance(each, dict):
            raise ModuleUnreadableError(f"a {type_} block isn't an object: {each!r}")
        if labels == 0:
            yield Block(type_, seen, each)
            continue
        for label, inner in each.items():
            if label != "//":  # a comment in JSON syntax
                yield from _labelled(type_, inner, labels - 1, (*seen, text(label)))
