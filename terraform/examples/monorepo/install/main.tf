variable "name" {
  description = "The install's name. Example: \"dune\"."
  type        = string
}

variable "domain" {
  description = "The domain that the board answers to. Example: \"dune.example\"."
  type        = string
}

variable "app_id" {
  description = "The app's id."
  type        = string
}

variable "release_id" {
  description = "The id of the release that the customer gets."
  type        = string
}

resource "exclave_install" "this" {
  app_id            = var.app_id
  name              = var.name
  inputs            = { domain = var.domain }
  drift_check_hours = 24
}

resource "exclave_deployment" "this" {
  install_id     = exclave_install.this.id
  release_id     = var.release_id
  inputs_version = exclave_install.this.inputs_version
}

output "outputs" {
  description = "What the install gives out."
  value       = exclave_deployment.this.outputs
}
