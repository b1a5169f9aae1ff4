"""What the provider's process loads instead of the contract says the same as the contract."""

from pathlib import Path

import pytest

from api.contract import provider_schema, references
from api.contract.source_digest import SourceError, source_digest, source_files
from provider_bridge.framework.diagnostics import Key
from provider_bridge.resources import prepare
from provider_bridge.resources.provider import ExclaveProvider
from provider_bridge.resources.reference_grammar import malformed
from provider_bridge.resources.refusals import attribute_path


@pytest.mark.service
def test_the_generated_files_are_fresh() -> None:
    for path, content in provider_schema.generated_files().items():
        assert path.read_text() == content, "run `python -m api.contract.provider_schema`"


@pytest.mark.parametrize("call", prepare.ANSWERS)
def test_the_prepared_answers_are_fresh(call: str) -> None:
    provider = ExclaveProvider({})
    made = prepare.ANSWERS[call](provider)
    prepared = provider.prepared(call)
    assert prepared
    assert made.FromString(prepared) == made, "run `python -m provider_bridge.resources.prepare`"


@pytest.mark.parametrize(
    "text",
    [
        "plain",
        "{{ inputs.domain }}",
        "{{ secrets.password }}",
        "{{inputs.domain}} and {{ install.id }}",
        "{{ install.name }}",
        "{{ install.region }}",
        "{{ install.zone }}",
        "{{ secrets.key }}",
        "{{ components.network.outputs.id }}",
        "{{ components.network.id }}",
        "{{ components.web.image.digest }}",
        "{{ components.web.image.layers }}",
        "{{ inputs }}",
        "{{ inputs.a.b }}",
        "{{ inputs.a | lower }}",
        "{{ inputs.a | lowr }}",
        "{{ .nuon.install.id }}",
        "{{ .nuon.org.id }}",
        "{{ input.domain }}",
        "{{ }}",
        "{{ 1 + 1 }}",
        "{{ inputs.a-b_c }}",
        "{{\ninputs.a\n}}",
        "{{ inputs.ä }}",
        "{ inputs.a }",
    ],
)
def test_the_provider_and_the_ims_read_the_same_references(text: str) -> None:
    try:
        references.find(text)
    except references.InvalidReferenceError:
        assert malformed(text)
    else:
        assert not malformed(text)


@pytest.mark.parametrize(
    ("resource", "field", "path", "whole"),
    [
        ("exclave_app", "name", ("name",), True),
        ("exclave_app", "inputs.domain", ("inputs", Key("domain")), True),
        ("exclave_app", "inputs.domain.default", ("inputs", Key("domain"), "default"), True),
        ("exclave_install", "sensitive_inputs.password", ("sensitive_inputs", Key("password")), True),
        ("exclave_terraform_module_component", "config.variables.cidr", ("variables", Key("cidr")), True),
        ("exclave_terraform_module_component", "config.source.path", ("path",), True),
        ("exclave_terraform_module_component", "config.source.path.digest", ("path",), False),
        ("exclave_terraform_module_component", "config.source.git.ref", ("git", "ref"), True),
        ("exclave_helm_chart_component", "config.values.image.tag", ("values", Key("image.tag")), True),
        ("exclave_helm_chart_component", "config.values_files.1", ("values_files", 1), True),
        ("exclave_helm_chart_component", "config.helm_repo.version", ("helm_repo", "version"), True),
        ("exclave_container_image_component", "config.aws_ecr.region", ("aws_ecr", "region"), True),
        ("exclave_secret", "value", ("value_wo",), True),
        ("exclave_terraform_module_component", "config.kind", (), False),
        ("exclave_release", "components.service.variables.cidr", ("components", Key("service")), False),
        ("exclave_deployment", "release_id", ("release_id",), True),
    ],
)
def test_a_field_of_the_api_is_shown_on_its_attribute(resource: str, field: str, path: tuple[object, ...], whole: bool) -> None:
    schema = ExclaveProvider({}).resources[resource].schema
    assert attribute_path(schema, field) == (path, whole)


def folder(root: Path, **files: str) -> Path:
    for name, content in files.items():
        path = root / name.replace("__", "/").replace("_tf", ".tf")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return root


def test_the_source_digest_is_that_of_the_specification(tmp_path: Path) -> None:
    """The record of one file, written out by hand, so that another implementation can check itself."""
    import hashlib

    folder(tmp_path, main_tf="x", sub__a_tf="y")
    (tmp_path / "main.tf").chmod(0o755)
    records = [f"x {hashlib.sha256(b'x').hexdigest()} main.tf", f"- {hashlib.sha256(b'y').hexdigest()} sub/a.tf"]
    whole = "".join(f"{record}\0" for record in records)
    assert source_digest(str(tmp_path)) == f"sha256:{hashlib.sha256(whole.encode()).hexdigest()}"


def test_the_source_digest_sees_content_names_and_the_executable_bit_and_nothing_else(tmp_path: Path) -> None:
    one = folder(tmp_path / "one", main_tf="x", sub__a_tf="y")
    same = folder(tmp_path / "same", sub__a_tf="y", main_tf="x")
    (same / "sub" / "a.tf").chmod(0o600)
    (same / "empty").mkdir()
    folder(same, **{".terraform__providers": "z", "terraform.tfstate": "z", "sub__x.tfstate.backup": "z", ".git__HEAD": "z"})
    right = source_digest(str(one))
    assert source_digest(str(same)) == right
    (same / "main.tf").chmod(0o755)
    assert source_digest(str(same)) != right
    assert source_digest(str(folder(tmp_path / "renamed", main_tf="x", sub__b_tf="y"))) != right
    assert source_digest(str(folder(tmp_path / "edited", main_tf="x ", sub__a_tf="y"))) != right


def test_a_link_counts_as_what_it_points_to(tmp_path: Path) -> None:
    plain = folder(tmp_path / "plain", main_tf="x", shared__a_tf="y")
    linked = folder(tmp_path / "linked", main_tf="x")
    (linked / "shared").symlink_to(plain / "shared")
    assert source_digest(str(linked)) == source_digest(str(plain))
    assert [file.name for file in source_files(str(linked))] == ["main.tf", "shared/a.tf"]


def test_links_that_lead_nowhere_or_in_circles_are_refused(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path)
    with pytest.raises(SourceError, match="leads into a loop"):
        source_digest(str(tmp_path))
    (tmp_path / "loop").unlink()
    (tmp_path / "nowhere").symlink_to(tmp_path / "gone")
    with pytest.raises(SourceError, match="leads nowhere"):
        source_digest(str(tmp_path))
