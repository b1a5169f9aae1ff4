data "exclave_release" "newest" {
  app_id = "shop"
}

data "exclave_install" "acme" {
  name = "acme"
}

resource "exclave_deployment" "example" {
  install_id     = data.exclave_install.acme.id
  release_id     = data.exclave_release.newest.id
  inputs_version = data.exclave_install.acme.inputs_version
}
