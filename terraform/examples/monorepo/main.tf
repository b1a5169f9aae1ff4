# The product, in a module of its own: whoever changes a component changes nothing else.
module "app" {
  source = "./app"
}

# Each customer, by another module: the vendor's rules for an install stand in one place.
module "customer" {
  source   = "./install"
  for_each = var.customers

  name       = each.key
  domain     = each.value
  app_id     = module.app.id
  release_id = module.app.release_id
}

output "outputs" {
  description = "What each customer's install gives out."
  value       = { for name, customer in module.customer : name => customer.outputs }
}
