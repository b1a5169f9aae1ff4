terraform {
  # 1.11: the token is an ephemeral value in a write-only argument, and so in no plan and no state.
  required_version = ">= 1.11"

  required_providers {
    google = {
      source  = "hashicorp/google"
      version = ">= 6.38"
    }
  }
}
