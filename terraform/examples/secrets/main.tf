resource "exclave_app" "vault" {
  name        = "ledger"
  description = "A service with secrets of three kinds."

  inputs = {
    admin_password = { type = "string", sensitive = true, description = "Known to the vendor." }
    database_url   = { type = "string", sensitive = true, description = "Known to the customer only." }
  }
}

# 1. A secret of the vendor's: write-only, in no plan and in no state.
resource "exclave_secret" "license" {
  name             = "ledger-license"
  app_id           = exclave_app.vault.id
  value_wo         = var.license
  value_wo_version = 1
}

resource "exclave_terraform_module_component" "service" {
  app_id = exclave_app.vault.id
  name   = "service"

  variables = {
    license        = provider::exclave::secret(exclave_secret.license.name)
    admin_password = provider::exclave::input("admin_password")
    database_url   = provider::exclave::input("database_url")
  }

  path {
    path = "${path.module}/modules/service"
  }
}

resource "exclave_install" "fern" {
  app_id = exclave_app.vault.id
  name   = "fern"

  sensitive_inputs = {
    # 2. A value that the vendor gives. It is in Terraform's state: protect that, or use a secret as above.
    admin_password = var.admin_password
    # 3. A reference that only the customer's agent can follow: the value never leaves the customer's account.
    database_url = "ref+env://EXCLAVE_SECRET_DATABASE_URL"
  }
}

# The token with which the customer's agent enrols, in a file that only you can read.
resource "exclave_agent_enrollment" "fern" {
  kind       = "install"
  install_id = exclave_install.fern.id
  token_file = "${path.root}/fern.token"
}
