from pathlib import Path

import pytest

from agent.bundle.hcl import ModuleUnreadableError, has_configuration, read_blocks, read_lock
from agent.bundle.module import ModuleInterface, interface_of
from api.contract.resources import ModuleOutput, ModuleVariable


def read(folder: Path, **files: str) -> ModuleInterface:
    for name, content in files.items():
        (folder / name.replace("__", ".")).write_text(content)
    return interface_of(read_blocks(folder))


def test_variables_and_outputs_are_read(tmp_path: Path) -> None:
    interface = read(
        tmp_path,
        variables__tf="""
            variable "size" {
              type        = object({ cpu = number, tags = optional(map(string), {}) })
              description = "How \\"large\\" it is"
              validation {
                condition     = var.size.cpu > 0 && can(regex("^[a-z]{1,3}$", "x"))
                error_message = "no"
              }
            }
            variable "password" {
              type      = string # secret
              sensitive = true
              default   = null
            }
            variable "anything" {}
        """,
        outputs__tf="""
            output "url" { value = "https://${var.size.cpu}/%{ if true }x%{ endif }" }
            output "token" {
              value     = <<-EOT
                variable "not_one" {}
              EOT
              sensitive = true
            }
        """,
    )
    assert interface.variables == (
        ModuleVariable(name="anything", type=None, required=True, sensitive=False),
        ModuleVariable(name="password", type="string", required=False, sensitive=True),
        ModuleVariable(
            name="size", type="object({cpu = number, tags = optional(map(string), {})})", required=True, sensitive=False
        ),
    )
    assert interface.outputs == (ModuleOutput(name="token", sensitive=True), ModuleOutput(name="url", sensitive=False))


def test_json_syntax_is_the_same(tmp_path: Path) -> None:
    interface = read(
        tmp_path,
        main__tf__json="""{
            "//": "a comment",
            "variable": {"a": {"type": "list(string)", "sensitive": true}, "b": [{"default": 1}]},
            "output": [{"x": {"value": "${var.a}"}}, {"y": {"value": 1, "sensitive": true}}]
        }""",
    )
    assert interface.variables == (
        ModuleVariable(name="a", type="list(string)", required=True, sensitive=True),
        ModuleVariable(name="b", type=None, required=False, sensitive=False),
    )
    assert interface.outputs == (ModuleOutput(name="x"), ModuleOutput(name="y", sensitive=True))


def test_an_override_file_adds_to_what_it_overrides(tmp_path: Path) -> None:
    interface = read(
        tmp_path,
        zz__tf='variable "a" { type = string }\n',
        override__tf='variable "a" { default = "x" }\n',
        more_override__tf='output "o" { sensitive = true }\n',
        outputs__tf='output "o" { value = 1 }\n',
    )
    assert interface.variables == (ModuleVariable(name="a", type="string", required=False),)
    assert interface.outputs == (ModuleOutput(name="o", sensitive=True),)


@pytest.mark.parametrize(
    "content", ["# only a comment", '\ufeffvariable "a" {}', 'variable "a" {}\r\n', "", "locals { a = <<E\nx\nE\n}"]
)
def test_unusual_files_are_read(tmp_path: Path, content: str) -> None:
    read(tmp_path, main__tf=content)


def test_a_file_that_cannot_be_parsed_is_named_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(ModuleUnreadableError, match=r"main\.tf:3 .*type =$") as refused:
        read(tmp_path, main__tf='variable "a" {}\nvariable "b" {\n  type = \n}\n')
    assert refused.value.failure.remedy


def test_json_that_cannot_be_parsed_is_named_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(ModuleUnreadableError, match=r"main\.tf\.json:2 isn't JSON"):
        read(tmp_path, main__tf__json='{\n"variable": }\n')


def test_a_file_in_another_encoding_is_named(tmp_path: Path) -> None:
    (tmp_path / "main.tf").write_bytes(b"# caf\xe9\n")
    with pytest.raises(ModuleUnreadableError, match=r"main\.tf isn't UTF-8"):
        read_blocks(tmp_path)


def test_only_files_of_the_folder_itself_count(tmp_path: Path) -> None:
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "main.tf").write_text('variable "a" {}')
    (tmp_path / "README.md").write_text("x")
    assert not has_configuration(tmp_path)


def test_the_lock_files_hashes_are_read(tmp_path: Path) -> None:
    (tmp_path / ".terraform.lock.hcl").write_text(
        'provider "example.com/acme/dummy" {\n  version = "1.0.0"\n  hashes = [\n    "zh:b",\n    "h1:a=",\n  ]\n}\n'
    )
    assert read_lock(tmp_path) == {"example.com/acme/dummy": ["h1:a=", "zh:b"]}
