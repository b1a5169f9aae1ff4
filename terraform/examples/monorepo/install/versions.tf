terraform {
  required_version = ">= 1.8"

  required_providers {
    exclave = {
      source = "exclave/exclave"
    }
  }
}
