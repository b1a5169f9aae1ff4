resource "exclave_app" "portal" {
  name        = "portal"
  description = "A portal, one for each customer."

  inputs = {
    domain   = { type = "string", description = "The domain that the portal answers to." }
    replicas = { type = "number", default = "1", description = "How many of it run." }
  }
}

resource "exclave_terraform_module_component" "site" {
  app_id = exclave_app.portal.id
  name   = "site"

  variables = {
    domain   = provider::exclave::input("domain")
    replicas = provider::exclave::input("replicas")
  }

  path {
    path = "${path.module}/modules/site"
  }
}

resource "exclave_release" "newest" {
  app_id     = exclave_app.portal.id
  components = { site = exclave_terraform_module_component.site.version }
}

# One install for each entry of the map. A new entry is a new customer; one that is taken out is torn down.
resource "exclave_install" "customer" {
  for_each = var.customers

  app_id   = exclave_app.portal.id
  name     = each.key
  approval = each.value.approval

  inputs = {
    domain   = each.value.domain
    replicas = each.value.replicas
  }

  labels = {
    region = each.value.region
  }
}

resource "exclave_deployment" "customer" {
  for_each = exclave_install.customer

  install_id     = each.value.id
  release_id     = exclave_release.newest.id
  inputs_version = each.value.inputs_version
}

# Installs can be found by their labels, also in another folder than the one that made them.
data "exclave_installs" "in_europe" {
  selector   = "region=eu"
  depends_on = [exclave_install.customer]
}
