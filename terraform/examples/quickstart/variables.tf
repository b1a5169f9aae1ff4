variable "customers" {
  description = "The customers who run the shop: the name of the install, and the domain that it answers to. Example: { acme = \"acme.example\" }."
  type        = map(string)
  default     = { acme = "acme.example" }

  validation {
    condition     = alltrue([for name in keys(var.customers) : can(regex("^[a-z]([a-z0-9_-]{0,61}[a-z0-9])?$", name))])
    error_message = "A customer's name has 1 to 63 of a-z, 0-9, - and _, and begins with a letter."
  }
}

variable "admin_password" {
  description = "The password of the shop's first administrator, the same for each customer here. Example: \"correct-horse\"."
  type        = string
  sensitive   = true

  validation {
    condition     = length(var.admin_password) >= 8
    error_message = "The password needs at least 8 characters."
  }
}
