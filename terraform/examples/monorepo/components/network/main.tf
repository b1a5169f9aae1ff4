variable "name" {
  description = "Whose network it is. Example: \"dune\"."
  type        = string
}

resource "terraform_data" "network" {
  input = "net-${var.name}"
}

output "id" {
  description = "The network's id."
  value       = terraform_data.network.output
}
