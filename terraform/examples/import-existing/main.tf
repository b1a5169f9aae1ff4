resource "exclave_app" "wiki" {
  name        = "wiki"
  description = "Made by hand, long ago."

  inputs = {
    domain = { type = "string" }
  }
}

resource "exclave_terraform_module_component" "web" {
  app_id    = exclave_app.wiki.id
  name      = "web"
  variables = { domain = "{{ inputs.domain }}" }

  path {
    path = "${path.module}/modules/web"
  }
}

resource "exclave_install" "elm" {
  app_id = exclave_app.wiki.id
  name   = "elm"
  inputs = { domain = "wiki.elm.example" }
}
