variable "customers" {
  description = "The domain of each customer, by the name of the install. Example: { dune = \"dune.example\" }."
  type        = map(string)
  default     = { dune = "dune.example" }

  validation {
    condition     = alltrue([for domain in values(var.customers) : strcontains(domain, ".")])
    error_message = "A domain has a dot in it."
  }
}
