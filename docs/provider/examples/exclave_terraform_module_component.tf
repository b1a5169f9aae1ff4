resource "exclave_terraform_module_component" "example" {
  app_id = "shop"
  name   = "network"

  variables = {
    name   = "{{ install.name }}"
    domain = "{{ inputs.domain }}"
  }

  path {
    path = "${path.module}/modules/network"
  }
}
