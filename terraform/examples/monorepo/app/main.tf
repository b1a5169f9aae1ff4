resource "exclave_app" "this" {
  name        = "board"
  description = "A message board."

  inputs = {
    domain = { type = "string", description = "The domain that the board answers to." }
  }
}

# The components are folders of this repository, beside the code that they run.
resource "exclave_terraform_module_component" "network" {
  app_id    = exclave_app.this.id
  name      = "network"
  variables = { name = provider::exclave::install("name") }

  path {
    path = "${path.module}/../components/network"
  }
}

resource "exclave_terraform_module_component" "web" {
  app_id = exclave_app.this.id
  name   = "web"

  variables = {
    domain     = provider::exclave::input("domain")
    network_id = provider::exclave::output("network", "id")
  }

  path {
    path = "${path.module}/../components/web"
  }
}

resource "exclave_release" "this" {
  app_id = exclave_app.this.id

  components = {
    network = exclave_terraform_module_component.network.version
    web     = exclave_terraform_module_component.web.version
  }
}

output "id" {
  description = "The app's id."
  value       = exclave_app.this.id
}

output "release_id" {
  description = "The id of the newest release."
  value       = exclave_release.this.id
}
