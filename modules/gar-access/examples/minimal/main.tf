# The vendor's build agent, on Google Cloud, may read one repository.

terraform {
  required_version = ">= 1.9"

  required_providers {
    google = {
      source  = "hashicorp/google"
      version = ">= 5.11"
    }
  }
}

provider "google" {
  project = "acme-images"
}

module "gar_access" {
  source = "../.."

  project_id          = "acme-images"
  repository_location = "europe-west1"
  repository_ids      = ["shop"]
  customer_principals = ["serviceAccount:build-agent@acme-platform.iam.gserviceaccount.com"]
}

output "service_account_email" {
  description = "For the component's gcp_gar.service_account_email."
  value       = module.gar_access.service_account_email
}
