# A component of a kind of the vendor's own: a plugin keeps a page.
resource "exclave_app" "status" {
  name        = "status"
  description = "A page that says how things are."
}

resource "exclave_custom_component" "page" {
  app_id    = exclave_app.status.id
  name      = "page"
  interface = "json"
  command   = ["./page.py"]

  environment = {
    FOLDER = "/srv/status"
    TITLE  = "All is well at ${provider::exclave::install("name")}"
  }

  path {
    path = "${path.module}/plugin"
  }
}

# The build agent asks the plugin whether the config is right, has it build, and signs what comes out.
resource "exclave_release" "status" {
  app_id     = exclave_app.status.id
  components = { page = exclave_custom_component.page.version }
}

output "status" {
  description = "`ready` once the plugin's build is in the registry."
  value       = exclave_release.status.status
}
