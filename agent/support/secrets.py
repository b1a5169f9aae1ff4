"""What must not stand in a bundle: every secret that the agent's folder and environment hold, and whatever looks like one."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from agent.redaction import PLACEHOLDER, Redactor
from agent.support.files import all_below, matching
from api.contract.base import Json

_SECRET_NAME = re.compile(r"TOKEN|SECRET|PASSW|PWD|CREDENTIAL|PRIVATE|_KEY$|_KEY_|APIKEY|AUTH", re.IGNORECASE)
_HARMLESS = re.compile(r".*_(FILE|DIR|PATH|SOCK|PREFIX)$", re.IGNORECASE)
"""Variables that say where a secret is, and not what."""

_NO_SECRETS = frozenset({"kind", "url", "prefix", "role_arn", "immutable_tags", "username"})
"""What may be seen of the registry's credentials."""

_LOOKS_SECRET = re.compile(
    r"""
    -----BEGIN\ [A-Z ]*PRIVATE\ KEY-----.*?(?:-----END\ [A-Z ]*PRIVATE\ KEY-----|\Z)
    | \bexc[a-z]_[A-Za-z0-9_-]{8,}                               # a token of ours
    | \beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*     # a JSON web token
    | \b(?:AKIA|ASIA)[A-Z0-9]{16}\b
    | (?<=://)[^/@\s"']+:[^/@\s"']+(?=@)                         # name and password in an address
    | (?i:(?<=bearer\ )|(?<=basic\ ))[A-Za-z0-9+/=._~-]{8,}
    | (?<=X-Amz-Signature=)[0-9a-f]+ | (?<=X-Goog-Signature=)[0-9a-f]+
    """,
    re.VERBOSE | re.DOTALL,
)


def clean(text: str, redactor: Redactor) -> str:
    """`text` without the secrets that `redactor` knows, and without what looks like one."""
    return _LOOKS_SECRET.sub(PLACEHOLDER, redactor.text(text))


def known_secrets(home: Path, env: Mapping[str, str], files: list[Path], registry: Path | None) -> Redactor:
    """Everything secret that can be found: keys, registry passwords, `ref+file` secrets, sensitive outputs and attributes.

    `files` are others that are secret as a whole, or folders of such; `registry` is the file of the registry's credentials.
    """
    redactor = Redactor()
    login = _json(registry) if registry else None
    if isinstance(login, dict):
        redactor.learn([value for name, value in login.items() if name not in _NO_SECRETS])
    for value in (*_of_environment(env), *_of_files(home, files), *_of_components(home / "components")):
        redactor.learn(value)
    return redactor


def variables(home: Path) -> Iterator[Json]:
    """The values with which components were planned: nobody but the customer needs them, secret or not."""
    for file in matching(home, "components/*/plans/*/variables.tfvars.json"):
        yield _json(file)


def _of_environment(env: Mapping[str, str]) -> Iterator[Json]:
    for name, value in env.items():
        if _SECRET_NAME.search(name) and not _HARMLESS.fullmatch(name):
            yield value
        if "://" in value and "@" in value:
            password = _password(value)
            yield password
            yield unquote(password) if password else None


def _password(url: str) -> str | None:
    try:
        return urlsplit(url).password
    except ValueError:
        return None


def _of_files(home: Path, files: list[Path]) -> Iterator[Json]:
    keys = [*matching(home, "*.key"), *matching(home, "*.key.next")]
    folders = [file for file in [home / "secrets", *files] if file.is_dir()]
    inside = [file for folder in folders for file in all_below(folder) if file.is_file()]
    for file in (*keys, *inside, *(file for file in files if file.is_file())):
        yield _text(file).strip()
        yield _json(file)


def _of_components(components: Path) -> Iterator[Json]:
    for file in matching(components, "*/plans/*/secrets.json"):
        yield _json(file)
    for file in matching(components, "*/outputs.json"):
        yield from _marked(_json(file))
    for file in matching(components, "*/state/*"):
        state = _json(file)
        yield from _marked(state)
        yield from _attributes(state)


def _marked(document: Json) -> Iterator[Json]:
    """The values of the outputs that are marked as sensitive, in `outputs.json` as in a Terraform state."""
    outputs = document.get("outputs") if isinstance(document, dict) else None
    for output in outputs.values() if isinstance(outputs, dict) else ():
        if isinstance(output, dict) and output.get("sensitive"):
            yield output.get("value")


def _attributes(state: Any) -> Iterator[Json]:
    """The sensitive attributes of a state's resources (`sensitive_attributes`: a list of paths), as whole attributes."""
    resources = state.get("resources") if isinstance(state, dict) else None
    for resource in resources or []:
        for instance in resource.get("instances") or []:
            for path in instance.get("sensitive_attributes") or []:
                first = path[0].get("value") if path else None
                yield (instance.get("attributes") or {}).get(first)


def _json(file: Path) -> Json:
    try:
        found: Json = json.loads(file.read_bytes())
    except (OSError, ValueError):
        return None
    return found


def _text(file: Path) -> str:
    try:
        return file.read_bytes().decode(errors="replace")
    except OSError:
        return ""
