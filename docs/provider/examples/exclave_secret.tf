variable "license" {
  description = "The licence key."
  type        = string
  ephemeral   = true
}

resource "exclave_secret" "example" {
  name             = "license"
  value_wo         = var.license
  value_wo_version = 1
}
