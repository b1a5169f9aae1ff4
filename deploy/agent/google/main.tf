# The install agent in this project of Google Cloud. What it makes is in the folder `agent`, which is Exclave's module
# install-agent-google, to be read before it runs. What is known of the install is in install.auto.tfvars.json; Terraform asks for the
# rest, or takes it from terraform.tfvars. Keep the state that Terraform writes here, or give it a backend: the token isn't in it.

terraform {
  required_version = ">= 1.11"

  required_providers {
    google = {
      source  = "hashicorp/google"
      version = ">= 6.38"
    }
  }
}

variable "name" {
  description = "The install, as the vendor calls it."
  type        = string
}

variable "ims_url" {
  description = "The address of the vendor's IMS."
  type        = string
}

variable "image" {
  description = "The agent's image."
  type        = string
}

variable "image_repository" {
  description = "The Artifact Registry repository of the image, if it is in this project."
  type        = object({ location = string, name = string })
  default     = null
}

variable "environment" {
  description = "More of the agent's settings, such as HTTPS_PROXY."
  type        = map(string)
  default     = {}
}

variable "project_id" {
  description = "The project to run in, such as acme-shop."
  type        = string
}

variable "zone" {
  description = "The zone to run in, such as europe-west1-b."
  type        = string
}

variable "network" {
  description = "The network to run in, such as projects/acme-shop/global/networks/main."
  type        = string
}

variable "subnetwork" {
  description = "A subnetwork with a way out, such as projects/acme-shop/regions/europe-west1/subnetworks/private."
  type        = string
}

variable "plan_roles" {
  description = "What the product's modules may look at: roles in the project."
  type        = set(string)
  default     = []
}

variable "apply_roles" {
  description = "What the product's modules may make, change and destroy: roles in the project."
  type        = set(string)
  default     = []
}

provider "google" {
  project = var.project_id
}

module "agent" {
  source = "./agent"

  name             = var.name
  project_id       = var.project_id
  region           = regex("^(.+)-[a-z]$", var.zone)[0]
  zone             = var.zone
  ims_url          = var.ims_url
  image            = var.image
  image_repository = var.image_repository
  environment      = var.environment
  policy           = try(file("${path.module}/policy.yaml"), null)
  network          = var.network
  subnetwork       = var.subnetwork
  plan_roles       = var.plan_roles
  apply_roles      = var.apply_roles

  # Into Secret Manager, and into no plan and no state. The file can go once the agent has enrolled.
  enrollment_token = try(file("${path.module}/token"), null)
}

output "machine" {
  description = "The machine that the agent runs on."
  value       = module.agent.machine
}

output "plan_email" {
  description = "For the vendor: the service account for the product's modules to look around with."
  value       = module.agent.plan_email
}

output "apply_email" {
  description = "For the vendor: the service account for the product's modules to make, change and destroy with."
  value       = module.agent.apply_email
}
