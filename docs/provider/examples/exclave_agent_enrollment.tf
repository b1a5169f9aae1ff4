resource "exclave_agent_enrollment" "example" {
  kind       = "install"
  install_id = "acme"
  token_file = "${path.module}/acme.token"
}
