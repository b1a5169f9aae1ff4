# Where each object is in the IMS: by name, an id does as well. Delete this file once it has been applied.
import {
  to = exclave_app.wiki
  id = "wiki"
}

import {
  to = exclave_terraform_module_component.web
  id = "wiki/web"
}

import {
  to = exclave_install.elm
  id = "elm"
}
