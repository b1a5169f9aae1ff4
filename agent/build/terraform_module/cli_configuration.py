"""Where the engine's own CLI configuration says that providers are installed from."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from agent.bundle.hcl import parse_file, text
from agent.engine.find import EngineName


@dataclass(frozen=True)
class Installation:
    """The methods of `provider_installation`: folders, URLs, and whether the registries themselves may be asked."""

    folders: tuple[Path, ...]
    mirrors: tuple[str, ...]
    direct: bool


def installation(name: EngineName, env: Mapping[str, str]) -> Installation:
    """What the configuration says for an engine with this environment; without any, registries and the plugins of its home.

    https://developer.hashicorp.com/terraform/cli/config/config-file#provider-installation. Patterns of `include` and `exclude`
    aren't looked at. Blocks; raises ModuleUnreadableError for a file that isn't HCL.
    """
    home = Path(env.get("HOME") or os.devnull)
    named = env.get("TF_CLI_CONFIG_FILE") or env.get("TERRAFORM_CONFIG")
    usual = [home / f".{each}rc" for each in (("tofu", "terraform") if name == "tofu" else ("terraform",))]
    file = Path(named) if named else next((each for each in usual if each.is_file()), usual[0])
    blocks = parse_file(file).get("provider_installation", []) if file.is_file() else []
    methods = [method for block in _list(blocks) for method in block.items()]
    if not methods:
        return Installation((home / ".terraform.d" / "plugins",), (), direct=True)
    return Installation(
        tuple(Path(each) for each in _values(methods, "filesystem_mirror", "path")),
        tuple(_values(methods, "network_mirror", "url")),
        direct=any(method == "direct" for method, _ in methods),
    )


def _values(methods: list[tuple[str, object]], wanted: str, attribute: str) -> Iterator[str]:
    for method, bodies in methods:
        if method == wanted:
            yield from (text(body[attribute]) for body in _list(bodies) if attribute in body)


def _list(value: object) -> list[dict[str, object]]:
    return [each for each in (value if isinstance(value, list) else [value]) if isinstance(each, dict)]
