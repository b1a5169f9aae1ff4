resource "exclave_custom_component" "example" {
  app_id  = "shop"
  name    = "migrate"
  command = ["./migrate.sh", "--all"]

  environment = {
    DATABASE_URL = "{{ components.database.outputs.url }}"
  }

  path {
    path = "${path.module}/migrate"
  }
}
