variable "domain" {
  description = "The domain to answer to. Example: \"dune.example\"."
  type        = string
}

variable "network_id" {
  description = "The network to run in. Example: \"net-dune\"."
  type        = string
}

resource "terraform_data" "web" {
  input = "https://${var.domain} in ${var.network_id}"
}

output "address" {
  description = "Where it runs."
  value       = terraform_data.web.output
}
