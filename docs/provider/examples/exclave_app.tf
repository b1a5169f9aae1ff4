resource "exclave_app" "example" {
  name        = "shop"
  description = "A web shop."

  inputs = {
    domain         = { type = "string", description = "The domain that the shop answers to." }
    replicas       = { type = "number", default = "2", group = "Size" }
    admin_password = { type = "string", sensitive = true }
  }
}
