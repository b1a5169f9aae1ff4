from pathlib import Path

import pytest

from agent.trust.claims import config_digest
from agent.trust.origins import SourceNotAllowedError, check_origins
from api.contract.components import (
    ContainerImageConfig,
    GitSource,
    HelmChartConfig,
    HelmRepository,
    KubernetesManifestConfig,
    PathSource,
    Source,
    TerraformModuleConfig,
)
from api.contract.image_sources import PublicImage


def module(url: str) -> TerraformModuleConfig:
    return TerraformModuleConfig(source=Source(git=GitSource(url=url)))


def folder(path: str) -> TerraformModuleConfig:
    return TerraformModuleConfig(source=Source(path=PathSource(path=path)))


CONFIGS = [
    module("https://git.example.com/acme/product.git"),
    HelmChartConfig(helm_repo=HelmRepository(repo_url="https://charts.example.com/", chart="web", version="1")),
    ContainerImageConfig(public=PublicImage(image_url="docker.io/library/nginx", tag="1")),
    KubernetesManifestConfig(manifest="kind: ConfigMap"),
]
ALLOWED = ["https://git.example.com/acme/*", "https://charts.example.com/web", "docker.io/library/*", "manifest"]


@pytest.mark.parametrize("config", CONFIGS, ids=[config.kind for config in CONFIGS])
def test_only_what_is_on_the_list_is_built(config: object) -> None:
    check_origins(config, ALLOWED)  # type: ignore[arg-type]
    check_origins(config, [])  # type: ignore[arg-type]
    with pytest.raises(SourceNotAllowedError) as caught:
        check_origins(config, ["https://git.example.com/other/*"])  # type: ignore[arg-type]
    assert caught.value.failure.field


@pytest.mark.parametrize(
    "url",
    [
        "https://git.example.com/acme/../attacker/product.git",
        "https://git.example.com/acme/%2e%2e/attacker/product.git",
        "https://git.example.com.attacker.example/acme/product.git",
        "ext::sh -c 'https://git.example.com/acme/'",
    ],
)
def test_no_way_around_leads_elsewhere(url: str) -> None:
    with pytest.raises(SourceNotAllowedError):
        check_origins(module(url), ALLOWED)


def test_a_folder_is_where_its_path_leads(tmp_path: Path) -> None:
    inside, outside = tmp_path / "in", tmp_path / "out"
    inside.mkdir()
    outside.mkdir()
    (inside / "link").symlink_to(outside)
    check_origins(folder(str(inside)), [f"{tmp_path}/in*"])
    for path in (f"{inside}/../out", f"{inside}/link"):
        with pytest.raises(SourceNotAllowedError):
            check_origins(folder(path), [f"{tmp_path}/in*"])


def test_the_digest_of_a_config_says_all_that_was_chosen_and_no_defaults() -> None:
    one = module("https://git.example.com/x")
    assert config_digest(one) == config_digest(one.model_copy(update={"variables": {}, "bundle_engine": "auto"}))
    changed = [
        module("https://git.example.com/y"),
        one.model_copy(update={"variables": {"a": "b"}}),
        one.model_copy(update={"bundle_engine": "never"}),
    ]
    assert len({config_digest(each) for each in [one, *changed]}) == 4
