"""The configs of components, one model for each kind."""

from typing import Any, get_args

import pytest
from pydantic import TypeAdapter, ValidationError

from api.contract.components import ComponentConfig, ComponentKind, template_texts

SOURCE = {"path": {"path": "./module"}}
RIGHT: dict[str, dict[str, Any]] = {
    "terraform_module": {"source": SOURCE, "variables": {"a": "b"}},
    "container_image": {"public": {"image_url": "docker.io/library/nginx", "tag": "1"}},
    "docker_build": {"source": SOURCE},
    "helm_chart": {"source": SOURCE, "values": {"a": "b"}},
    "kubernetes_manifest": {"manifest": "kind: Pod"},
    "custom": {"source": SOURCE, "command": ["./run"], "environment": {"a": "b"}},
}
CONFIG: TypeAdapter[Any] = TypeAdapter(ComponentConfig)


def test_every_kind_has_a_model() -> None:
    assert set(RIGHT) == set(get_args(ComponentKind))


@pytest.mark.parametrize("kind", RIGHT)
def test_a_config_survives_the_wire(kind: str) -> None:
    config = CONFIG.validate_python({"kind": kind, **RIGHT[kind]})
    assert CONFIG.validate_json(CONFIG.dump_json(config)) == config


@pytest.mark.parametrize(
    ("kind", "texts"),
    [
        ("terraform_module", {"variables.a": "b"}),
        ("container_image", {}),
        ("docker_build", {}),
        ("helm_chart", {"values.a": "b"}),
        ("kubernetes_manifest", {"manifest": "kind: Pod"}),
        ("custom", {"environment.a": "b"}),
    ],
)
def test_the_texts_that_may_hold_references_are_known_by_their_field(kind: str, texts: dict[str, str]) -> None:
    assert template_texts(CONFIG.validate_python({"kind": kind, **RIGHT[kind]})) == texts


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "zebra"},
        {"kind": "terraform_module"},
        {"kind": "terraform_module", "source": {}},
        {"kind": "terraform_module", "source": {**SOURCE, "git": {"url": "x"}}},
        {"kind": "terraform_module", "source": SOURCE, "variabels": {}},
        {"kind": "terraform_module", "source": SOURCE, "variables": {"a": 1}},
        {"kind": "terraform_module", "source": {"path": {"path": "x", "digest": "sha256:short"}}},
        {"kind": "container_image"},
        {"kind": "container_image", **RIGHT["container_image"], "registry": {"image_url": "a", "tag": "b"}},
        {"kind": "helm_chart"},
        {"kind": "kubernetes_manifest", "manifest": "x", "source": SOURCE},
        {"kind": "custom", "source": SOURCE, "command": []},
    ],
)
def test_a_wrong_config_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        CONFIG.validate_python(wrong)


@pytest.mark.parametrize(
    "git",
    [
        {"url": "--upload-pack=evil"},
        {"url": "https://example.com/x", "ref": "-x"},
        {"url": "https://example.com/x", "subdirectory": "../etc"},
        {"url": "https://example.com/x", "subdirectory": "a/../../b"},
        {"url": "https://example.com/x", "subdirectory": "/etc"},
    ],
)
def test_a_git_source_can_neither_be_an_option_nor_leave_its_repository(git: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        CONFIG.validate_python({"kind": "terraform_module", "source": {"git": git}})
