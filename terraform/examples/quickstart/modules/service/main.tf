variable "network_id" {
  description = "The network to run in. Example: \"net-acme\"."
  type        = string
}

variable "domain" {
  description = "The domain to answer to. Example: \"acme.example\"."
  type        = string
}

variable "admin_password" {
  description = "The first administrator's password."
  type        = string
  sensitive   = true
}

resource "terraform_data" "service" {
  input = {
    network_id = var.network_id
    url        = "https://${var.domain}"
  }
}

output "url" {
  description = "Where the shop answers."
  value       = terraform_data.service.output.url
}

output "admin_login" {
  description = "How the first administrator signs in."
  value       = "admin:${var.admin_password}"
  sensitive   = true
}
