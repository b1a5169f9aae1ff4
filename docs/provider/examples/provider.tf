terraform {
  required_version = ">= 1.8"

  required_providers {
    exclave = {
      source = "exclave/exclave"
    }
  }
}

# Both can be left out: EXCLAVE_URL, and EXCLAVE_TOKEN or EXCLAVE_TOKEN_FILE, say the same.
provider "exclave" {
  url        = "https://exclave.example.com"
  token_file = "~/.exclave/admin.token"
}
