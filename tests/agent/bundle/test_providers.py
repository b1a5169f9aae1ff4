"""`closure`: what a module needs from outside of its folder goes into its bundle, or the build says what leaks."""

from pathlib import Path

import pytest

from agent.bundle.providers import ModuleLeaksError, needs_of


def module(folder: Path, content: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "main.tf").write_text(content)
    return folder


def test_the_built_in_provider_is_not_needed_from_outside(tmp_path: Path) -> None:
    folder = module(
        tmp_path,
        """
        terraform {
          required_providers {
            terraform = { source = "terraform.io/builtin/terraform" }
          }
        }
        resource "terraform_data" "a" { input = 1 }
        data "terraform_remote_state" "b" { backend = "local" }
        """,
    )
    assert not needs_of(folder)


def test_named_and_implied_providers_are_found(tmp_path: Path) -> None:
    folder = module(
        tmp_path,
        """
        terraform {
          required_version = ">= 1.8"
          required_providers {
            aws  = { source = "hashicorp/aws", version = "~> 5.0" }
            mine = { source = "example.com/acme/dummy" }
            old  = "~> 1.0"
          }
        }
        provider "google" {}
        resource "aws_vpc" "a" { provider = aws.west }
        resource "random_id" "b" {}
        data "http" "c" { provider = mine }
        ephemeral "vault_token" "d" {}
        check "e" {
          data "dns_a_record_set" "f" {}
          assert {
            condition     = true
            error_message = "no"
          }
        }
        """,
    )
    assert needs_of(folder).providers == {
        "hashicorp/aws",
        "example.com/acme/dummy",
        "hashicorp/old",
        "hashicorp/google",
        "hashicorp/random",
        "hashicorp/vault",
        "hashicorp/dns",
    }


def test_modules_inside_the_folder_count(tmp_path: Path) -> None:
    module(tmp_path / "root", 'module "a" { source = "./modules/a" }')
    module(tmp_path / "root" / "modules" / "a", 'module "b" { source = "../b" }')
    module(tmp_path / "root" / "modules" / "b", 'resource "null_resource" "x" {}')
    assert needs_of(tmp_path / "root").providers == {"hashicorp/null"}


@pytest.mark.parametrize(
    "source", ["terraform-aws-modules/vpc/aws", "git::https://example.com/x.git", "git@example.com:a/b.git"]
)
def test_a_module_from_elsewhere_is_to_be_fetched(source: str, tmp_path: Path) -> None:
    folder = module(tmp_path, f'module "vpc" {{ source = "{source}" }}')
    assert needs_of(folder).modules == {source}


@pytest.mark.parametrize("source", ["../other", "./../../other", "/abs", "file:///abs", "git::file:///abs", "git::/abs", "~/x"])
def test_a_module_outside_of_the_folder_leaks(tmp_path: Path, source: str) -> None:
    module(tmp_path / "other", "")
    folder = module(tmp_path / "root", f'module "vpc" {{ source = "{source}" }}')
    with pytest.raises(ModuleLeaksError, match=r'module "vpc" calls .* outside') as refused:
        needs_of(folder)
    assert refused.value.failure.code == "module_not_closed"


def test_a_module_that_is_not_there_is_named(tmp_path: Path) -> None:
    folder = module(tmp_path, 'module "a" { source = "./modules/a" }')
    with pytest.raises(ModuleLeaksError, match="isn't there"):
        needs_of(folder)


def test_a_leaking_module_is_named_with_file_and_line(tmp_path: Path) -> None:
    (tmp_path / "main.tf").write_text('# first\nmodule "vpc" {\n  source = "../vpc"\n}\n')
    with pytest.raises(ModuleLeaksError, match=r'main\.tf:3: module "vpc" calls .\.\./vpc'):
        needs_of(tmp_path)
