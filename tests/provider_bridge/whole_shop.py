"""A shop with everything that the provider has."""

from terraform_cli import Terraform

SHOP = """
    variable "password" {
      sensitive = true
      default   = "first-canary"
    }

    resource "exclave_app" "shop" {
      name        = "shop"
      description = "A web shop."
      inputs = {
        domain      = { default = "example.com", description = "Where it answers." }
        zones       = { type = "list", default = jsonencode(["a", "b"]) }
        db_password = { sensitive = true }
      }
    }

    resource "exclave_terraform_module_component" "network" {
      app_id    = exclave_app.shop.id
      name      = "network"
      path {
        path = "${path.module}/modules/network"
      }
      variables = { domain = "{{ inputs.domain }}" }
    }

    resource "exclave_terraform_module_component" "service" {
      app_id = exclave_app.shop.id
      name   = "service"
      git {
        url = "https://git.example/shop"
        subdirectory = "service"
      }
    }

    resource "exclave_install" "acme" {
      app_id           = exclave_app.shop.id
      name             = "acme"
      inputs           = { domain = "acme.example" }
      sensitive_inputs = { db_password = var.password }
    }

    resource "exclave_release" "current" {
      app_id = exclave_app.shop.id
      components = {
        network = exclave_terraform_module_component.network.version
        service = exclave_terraform_module_component.service.version
      }
    }

    resource "exclave_deployment" "acme" {
      install_id     = exclave_install.acme.id
      release_id     = exclave_release.current.id
      inputs_version = exclave_install.acme.inputs_version
    }

    output "url" {
      value = exclave_deployment.acme.outputs["network.url"]
    }

    output "ports" {
      value = jsondecode(exclave_deployment.acme.outputs["network.ports"])
    }
"""


def edit(terraform: Terraform, old: str, new: str, file: str = "main.tf") -> None:
    text = (terraform.folder / file).read_text()
    assert old in text
    terraform.write(text.replace(old, new), file)
