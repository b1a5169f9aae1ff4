"""Where a build may take things from: the build agent's own list, because what it builds on the IMS's word, it signs."""

import re
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from agent.failure import CodedError
from api.contract.components import (
    ComponentConfig,
    ContainerImageConfig,
    CustomConfig,
    DockerBuildConfig,
    HelmChartConfig,
    KubernetesManifestConfig,
    Source,
    TerraformModuleConfig,
)


class SourceNotAllowedError(CodedError):
    """A source that isn't on the build agent's list: it is neither read nor built, and above all not signed."""

    code = "source_not_allowed"
    remedy = "Start the build agent with `--allow-source` for it, if the vendor's code may come from there."


def check_origins(config: ComponentConfig, allowed: Sequence[str]) -> None:
    """Raises SourceNotAllowedError if something in the config comes from where none of the globs reaches. No globs: all may."""
    if not allowed:
        return
    for field, origin in _origins(config):
        if _winding(origin) or not any(fnmatchcase(origin, glob) for glob in allowed):
            raise SourceNotAllowedError(f"{origin!r} is no source that this build agent may take", field=field)


def _origins(config: ComponentConfig) -> Iterator[tuple[str, str]]:
    """What the config is made from, by field. A manifest that is written in the config itself is called `manifest`."""
    match config:
        case TerraformModuleConfig() | DockerBuildConfig() | CustomConfig():
            yield from _source(config.source)
        case HelmChartConfig():
            yield from _source(config.source)
            if config.helm_repo:
                yield "config.helm_repo.repo_url", f"{config.helm_repo.repo_url.rstrip('/')}/{config.helm_repo.chart}"
        case KubernetesManifestConfig():
            yield from _source(config.source)
            if config.manifest is not None:
                yield "config.manifest", "manifest"
        case ContainerImageConfig():
            for name in config.exactly_one_of:
                if image := getattr(config, name):
                    yield f"config.{name}.image_url", image.image_url


def _source(source: Source | None) -> Iterator[tuple[str, str]]:
    if source and source.git:
        yield "config.source.git.url", source.git.url
    if source and source.path:
        yield "config.source.path.path", str(Path(source.path.path).resolve())


def _winding(origin: str) -> bool:
    """Whether what it leads to is elsewhere than it seems: with `..` or an escape a glob's `*` would reach anything."""
    return ".." in re.split(r"[/\\]", origin) or "%" in origin
