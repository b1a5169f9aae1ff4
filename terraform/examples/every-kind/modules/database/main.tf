variable "name" {
  description = "Whose database it is. Example: \"gull\"."
  type        = string
}

resource "terraform_data" "database" {
  input = "postgresql://${var.name}"
}

output "url" {
  description = "Where the database is."
  value       = terraform_data.database.output
}
