# Every input: principals on Google Cloud and roles of two AWS accounts, in a pool that is there already.

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

# The APIs that this needs. An API of your project's stays on when this is destroyed.
resource "google_project_service" "needed" {
  for_each = toset(["artifactregistry.googleapis.com", "iam.googleapis.com", "iamcredentials.googleapis.com", "sts.googleapis.com"])

  service            = each.key
  disable_on_destroy = false
}

module "gar_access" {
  source = "../.."

  project_id          = "acme-images"
  repository_location = "europe-west1"
  repository_ids      = ["shop", "tools"]
  service_account_id  = "exclave-images"

  customer_principals = ["serviceAccount:build-agent@acme-platform.iam.gserviceaccount.com"]
  impersonation_role  = "roles/iam.workloadIdentityUser"

  aws_principals = [
    {
      aws_account_id = "222222222222"
      role_names     = ["exclave-build-agent", "exclave-support"]
      session_name   = "org-7f3c1a" # what the vendor's platform names its sessions for you
    },
    {
      aws_account_id = "333333333333"
      allow_any_role = true # an account that nobody else uses
      provider_id    = "aws-sandbox"
    },
  ]
  workload_identity_pool_id       = "exclave-aws" # not made, for the pool below is used
  existing_workload_identity_pool = "platform"

  depends_on = [google_project_service.needed]
}

output "gcp_gar" {
  description = "What the blocks gcp_gar of the vendor's components need."
  value = {
    service_account_email      = module.gar_access.service_account_email
    workload_identity_provider = module.gar_access.workload_identity_provider_paths["222222222222"]
    images                     = module.gar_access.repository_urls
  }
}

output "credential_config_json" {
  description = "A file for a build agent on AWS, if it isn't Exclave's."
  value       = module.gar_access.credential_config_json["222222222222"]
}
