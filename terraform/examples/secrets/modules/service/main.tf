variable "license" {
  description = "The licence key."
  type        = string
  sensitive   = true
}

variable "admin_password" {
  description = "The first administrator's password."
  type        = string
  sensitive   = true
}

variable "database_url" {
  description = "Where the customer's database is, with its login."
  type        = string
  sensitive   = true
}

resource "terraform_data" "service" {
  triggers_replace = sha256("${var.license} ${var.admin_password} ${var.database_url}")
}
