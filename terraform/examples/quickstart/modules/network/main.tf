variable "name" {
  description = "Whose network it is. Example: \"acme\"."
  type        = string
}

resource "terraform_data" "network" {
  input = "net-${var.name}"
}

output "network_id" {
  description = "The network's id."
  value       = terraform_data.network.output
}
