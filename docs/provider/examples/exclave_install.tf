variable "admin_password" {
  description = "The first administrator's password."
  type        = string
  sensitive   = true
}

resource "exclave_install" "example" {
  app_id   = "shop"
  name     = "acme"
  approval = "customer"

  labels = {
    region = "eu"
  }

  inputs = {
    domain   = "shop.acme.example"
    replicas = 3
  }

  sensitive_inputs = {
    admin_password = var.admin_password
  }
}
