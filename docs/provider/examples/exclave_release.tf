resource "exclave_release" "example" {
  app_id = "shop"

  components = {
    network = exclave_terraform_module_component.network.version
  }

  timeouts = {
    create = "20m"
  }
}

resource "exclave_terraform_module_component" "network" {
  app_id = "shop"
  name   = "network"

  path {
    path = "${path.module}/modules/network"
  }
}
