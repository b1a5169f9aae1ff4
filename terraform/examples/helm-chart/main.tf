# A product that runs in the customer's cluster: a chart in this folder, and the image that it runs.
resource "exclave_app" "greeter" {
  name        = "greeter"
  description = "A web page in the customer's cluster."

  inputs = {
    greeting = { type = "string", default = "Hello", description = "What the page says." }
    api_key  = { type = "string", sensitive = true, description = "A key that only the customer's cluster sees." }
  }
}

resource "exclave_helm_chart_component" "page" {
  app_id    = exclave_app.greeter.id
  name      = "page"
  namespace = "greeter"
  atomic    = true # an upgrade that fails is rolled back
  timeout   = 300

  path {
    path = "${path.module}/chart"
  }

  values = {
    greeting = "{{ inputs.greeting }} from {{ install.name }}"
    apiKey   = "{{ inputs.api_key }}"
    replicas = "2"
  }
}

resource "exclave_release" "current" {
  app_id     = exclave_app.greeter.id
  components = { page = exclave_helm_chart_component.page.version }
}

resource "exclave_install" "acme" {
  app_id           = exclave_app.greeter.id
  name             = "acme"
  sensitive_inputs = { api_key = var.api_key }
}

resource "exclave_deployment" "acme" {
  install_id     = exclave_install.acme.id
  release_id     = exclave_release.current.id
  inputs_version = exclave_install.acme.inputs_version
}
