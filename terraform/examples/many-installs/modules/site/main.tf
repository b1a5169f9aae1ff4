variable "domain" {
  description = "The domain to answer to. Example: \"acme.example\"."
  type        = string
}

variable "replicas" {
  description = "How many run. Example: 3."
  type        = number
}

resource "terraform_data" "site" {
  count = var.replicas
  input = "https://${var.domain}"
}

output "url" {
  description = "Where it answers."
  value       = terraform_data.site[0].output
}
