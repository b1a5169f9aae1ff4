# The product: an app with two inputs, which each customer answers in their own way.
resource "exclave_app" "shop" {
  name        = "shop"
  description = "A web shop: a network, and a service in it."

  inputs = {
    domain         = { type = "string", description = "The domain that the shop answers to." }
    admin_password = { type = "string", sensitive = true, description = "The first administrator's password." }
  }
}

# Its parts. Each one is an ordinary Terraform module.
resource "exclave_terraform_module_component" "network" {
  app_id = exclave_app.shop.id
  name   = "network"
  path {
    path = "${path.module}/modules/network"
  }

  variables = {
    name = "{{ install.name }}"
  }
}

resource "exclave_terraform_module_component" "service" {
  app_id = exclave_app.shop.id
  name   = "service"
  path {
    path = "${path.module}/modules/service"
  }

  variables = {
    network_id     = "{{ components.network.outputs.network_id }}" # so the service is made after the network
    domain         = "{{ inputs.domain }}"
    admin_password = "{{ inputs.admin_password }}"
  }
}

# A numbered, immutable set of builds: one for each component, at the version named.
resource "exclave_release" "current" {
  app_id = exclave_app.shop.id

  components = {
    network = exclave_terraform_module_component.network.version
    service = exclave_terraform_module_component.service.version
  }
}

# One install for each customer, and the release brought to it.
resource "exclave_install" "customer" {
  for_each = var.customers

  app_id           = exclave_app.shop.id
  name             = each.key
  inputs           = { domain = each.value }
  sensitive_inputs = { admin_password = var.admin_password }
}

resource "exclave_deployment" "customer" {
  for_each = var.customers

  install_id     = exclave_install.customer[each.key].id
  release_id     = exclave_release.current.id
  inputs_version = exclave_install.customer[each.key].inputs_version
}
