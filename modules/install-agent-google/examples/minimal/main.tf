# The agent in a project's private subnetwork. The token is in the file `token`, which the vendor gave.

terraform {
  required_version = ">= 1.11"

  required_providers {
    google = {
      source  = "hashicorp/google"
      version = ">= 6.38"
    }
  }
}

provider "google" {
  project = "acme-shop"
}

module "agent" {
  source = "../.."

  name             = "acme"
  project_id       = "acme-shop"
  region           = "europe-west1"
  zone             = "europe-west1-b"
  ims_url          = "https://ims.example.com"
  image            = "europe-west1-docker.pkg.dev/acme-shop/tools/exclave-agent:0.1.0"
  image_repository = { location = "europe-west1", name = "tools" }
  enrollment_token = try(file("${path.module}/token"), null)
  network          = "projects/acme-shop/global/networks/main"
  subnetwork       = "projects/acme-shop/regions/europe-west1/subnetworks/private"
}

output "machine" {
  description = "The machine that the agent runs on."
  value       = module.agent.machine
}
