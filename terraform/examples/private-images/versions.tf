terraform {
  required_version = ">= 1.9"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.31"
    }
    exclave = {
      source = "exclave/exclave"
    }
    google = {
      source  = "hashicorp/google"
      version = ">= 5.11"
    }
  }
}

# The address and the token come from EXCLAVE_URL and EXCLAVE_TOKEN_FILE.
provider "exclave" {}

# In the account that has the repositories: the role is made there.
provider "aws" {
  region = "eu-west-1"
}

# In the project that has the repositories.
provider "google" {
  project = var.gcp_project_id
}
