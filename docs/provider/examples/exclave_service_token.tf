resource "exclave_service_token" "example" {
  name        = "ci"
  role        = "deployer"
  expires_in  = 7776000
  secret_file = "${path.module}/ci.token"
}
