# Every input: through a proxy, with a key of the project's own and accounts for planning and applying.

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

# The APIs that this needs. An API of your project's stays on when this is destroyed.
resource "google_project_service" "needed" {
  for_each = toset(["artifactregistry.googleapis.com", "compute.googleapis.com", "iam.googleapis.com", "iamcredentials.googleapis.com", "logging.googleapis.com", "secretmanager.googleapis.com", "storage.googleapis.com"])

  service            = each.key
  disable_on_destroy = false
}

module "agent" {
  source = "../.."

  name       = "acme"
  project_id = "acme-shop"
  region     = "europe-west1"
  zone       = "europe-west1-b"
  ims_url    = "https://ims.example.com"

  image            = "europe-west1-docker.pkg.dev/acme-shop/tools/exclave-agent:0.1.0"
  image_repository = { location = "europe-west1", name = "tools" }

  enrollment_token  = try(file("${path.module}/token"), null)
  enrollment_number = 1

  network    = "projects/acme-shop/global/networks/main"
  subnetwork = "projects/acme-shop/regions/europe-west1/subnetworks/private"
  egress     = [{ port = 3128, cidr = "10.0.0.10/32" }, { port = 443, cidr = "199.36.153.8/30" }]

  bucket_name      = "acme-exclave-state"
  kms_key          = "projects/acme-shop/locations/europe-west1/keyRings/exclave/cryptoKeys/state"
  plan_roles       = ["roles/compute.viewer"]
  apply_roles      = ["roles/cloudsql.admin", "projects/acme-shop/roles/shopInstaller"]
  readable_secrets = ["shop-database"]

  policy       = "version: 1\nmode: read_only\n"
  environment  = { HTTPS_PROXY = "http://10.0.0.10:3128", NO_PROXY = "metadata.google.internal,169.254.169.254", EXCLAVE_APPROVAL = "customer" }
  machine_type = "e2-standard-2"
  labels       = { team = "platform" }

  depends_on = [google_project_service.needed]
}

output "apply_email" {
  description = "For the input of the install with which the product's modules set `impersonate_service_account`."
  value       = module.agent.apply_email
}
