resource "exclave_webhook" "example" {
  name        = "chat"
  url         = "https://chat.example.com/hooks/exclave"
  events      = ["deploy.*"]
  secret_file = "${path.module}/chat.secret"
}
