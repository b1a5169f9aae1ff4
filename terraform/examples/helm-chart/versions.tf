terraform {
  required_version = ">= 1.8"

  required_providers {
    exclave = {
      source = "exclave/exclave"
    }
  }
}

# The address and the token come from EXCLAVE_URL and EXCLAVE_TOKEN_FILE.
provider "exclave" {}
