variable "customers" {
  description = "The customers, by the name of their install. Example: { acme = { domain = \"acme.example\", region = \"eu\" } }."

  type = map(object({
    domain   = string
    region   = string
    replicas = optional(number, 1)
    approval = optional(string, "auto")
  }))

  default = {
    acme = { domain = "acme.example", region = "eu" }
    bolt = { domain = "bolt.example", region = "us", replicas = 3 }
    cora = { domain = "cora.example", region = "eu" }
  }

  validation {
    condition     = alltrue([for customer in values(var.customers) : contains(["eu", "us"], customer.region)])
    error_message = "A customer's region is eu or us."
  }
}
