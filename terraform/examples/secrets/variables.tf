variable "license" {
  description = "The licence key. Ephemeral: Terraform keeps it nowhere. Example: \"LICENSE-1234\"."
  type        = string
  ephemeral   = true

  validation {
    condition     = length(var.license) > 0
    error_message = "The licence key can't be empty."
  }
}

variable "admin_password" {
  description = "The first administrator's password. Example: \"correct-horse\"."
  type        = string
  sensitive   = true

  validation {
    condition     = length(var.admin_password) >= 8
    error_message = "The password needs at least 8 characters."
  }
}
