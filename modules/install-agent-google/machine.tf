# How the agent runs: one container on one small machine of Container-Optimized OS, without a public address, which nothing can call.

locals {
  settings = merge(
    {
      EXCLAVE_URL             = var.ims_url
      EXCLAVE_AGENT_NAME      = var.name
      EXCLAVE_REGISTRY        = jsonencode({ kind = "gcp_gar", url = "https://${local.registry}", prefix = "${var.project_id}/${local.prefix}" })
      EXCLAVE_AGENT_STATE     = "gs://${local.bucket}/states"
      EXCLAVE_TOKEN_REFERENCE = "ref+gcpsm://${var.project_id}/${local.prefix}-token"
    },
    var.environment,
  )

  machine = templatefile("${path.module}/machine.yaml.tftpl", {
    image      = var.image
    policy     = var.policy == null ? "" : var.policy
    registries = join(",", distinct([local.registry, split("/", var.image)[0]]))
    settings   = join("\n", [for name in sort(keys(local.settings)) : "${name}=${local.settings[name]}"])
  })
}

# A machine reads its configuration when it starts: another image or another setting is another machine, with the same disk.
resource "terraform_data" "machine" {
  input = sha256(local.machine)
}

resource "google_compute_instance" "agent" {
  #checkov:skip=CKV_GCP_38:A key of the project's own is var.kms_key; without it, Google's own key encrypts.
  project                   = var.project_id
  name                      = local.prefix
  zone                      = var.zone
  machine_type              = var.machine_type
  allow_stopping_for_update = true
  can_ip_forward            = false
  labels                    = local.labels

  boot_disk {
    kms_key_self_link = var.kms_key

    initialize_params {
      image = "projects/cos-cloud/global/images/family/cos-stable"
      size  = 20
    }
  }

  attached_disk {
    source            = google_compute_disk.home.id
    device_name       = "home"
    kms_key_self_link = var.kms_key
  }

  # No access_config: no public address.
  network_interface {
    subnetwork = var.subnetwork
  }

  # What the account may do is in its roles; scopes are no second fence for those who have a token.
  service_account {
    email  = google_service_account.agent.email
    scopes = ["https://www.googleapis.com/auth/cloud-platform"]
  }

  shielded_instance_config {
    enable_secure_boot          = true
    enable_vtpm                 = true
    enable_integrity_monitoring = true
  }

  metadata = {
    user-data              = local.machine
    google-logging-enabled = "true"
    enable-oslogin         = "TRUE"
    block-project-ssh-keys = "TRUE"
    serial-port-enable     = "FALSE"
  }

  # The agent can't start without any of these.
  depends_on = [
    google_artifact_registry_repository_iam_member.image,
    google_secret_manager_secret_iam_member.token,
    google_secret_manager_secret_version.token,
  ]

  lifecycle {
    replace_triggered_by = [terraform_data.machine]
  }
}

resource "google_compute_firewall" "in" {
  project                 = var.project_id
  name                    = "${local.prefix}-in"
  network                 = var.network
  direction               = "INGRESS"
  priority                = 100
  description             = "Nobody may call the Exclave install agent of ${var.name}."
  source_ranges           = ["0.0.0.0/0"]
  target_service_accounts = [google_service_account.agent.email]

  deny {
    protocol = "all"
  }
}

resource "google_compute_firewall" "out" {
  for_each = { for rule in var.egress : "${rule.cidr} ${rule.port}" => rule }

  project                 = var.project_id
  name                    = "${local.prefix}-out-${each.value.port}-${substr(sha1(each.value.cidr), 0, 8)}"
  network                 = var.network
  direction               = "EGRESS"
  priority                = 100
  description             = "IMS, registry and the APIs of clouds."
  destination_ranges      = [each.value.cidr]
  target_service_accounts = [google_service_account.agent.email]

  allow {
    protocol = "tcp"
    ports    = [tostring(each.value.port)]
  }
}

resource "google_compute_firewall" "nothing_else_out" {
  project                 = var.project_id
  name                    = "${local.prefix}-nothing-else-out"
  network                 = var.network
  direction               = "EGRESS"
  priority                = 200
  description             = "The Exclave install agent of ${var.name} calls nothing else."
  destination_ranges      = ["0.0.0.0/0"]
  target_service_accounts = [google_service_account.agent.email]

  deny {
    protocol = "all"
  }
}
