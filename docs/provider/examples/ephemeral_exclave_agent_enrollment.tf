ephemeral "exclave_agent_enrollment" "example" {
  kind       = "install"
  install_id = "acme"
}
