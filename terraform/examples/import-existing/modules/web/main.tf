variable "domain" {
  description = "The domain to answer to. Example: \"wiki.elm.example\"."
  type        = string
}

resource "terraform_data" "web" {
  input = "https://${var.domain}"
}
