# What is kept: artifacts in a repository, Terraform's state in a bucket, the token in Secret Manager, the agent's key on a disk.

resource "google_artifact_registry_repository" "artifacts" {
  #checkov:skip=CKV_GCP_84:A key of the project's own is var.kms_key; without it, Google's own key encrypts.
  project       = var.project_id
  location      = var.region
  repository_id = local.prefix
  format        = "DOCKER"
  description   = "What the Exclave install agent of ${var.name} runs. It alone writes here."
  kms_key_name  = var.kms_key
  labels        = local.labels
}

# Not repoAdmin: the agent can't delete what it brought.
resource "google_artifact_registry_repository_iam_member" "agent" {
  project    = var.project_id
  location   = var.region
  repository = google_artifact_registry_repository.artifacts.repository_id
  role       = "roles/artifactregistry.writer"
  member     = google_service_account.agent.member
}

resource "google_artifact_registry_repository_iam_member" "image" {
  count = var.image_repository == null ? 0 : 1

  project    = var.project_id
  location   = var.image_repository.location
  repository = var.image_repository.name
  role       = "roles/artifactregistry.reader"
  member     = google_service_account.agent.member
}

resource "google_storage_bucket" "state" {
  #checkov:skip=CKV_GCP_62:Access to state is in Cloud Audit Logs, where the project has data access logs; a log bucket is the project's to choose.
  project                     = var.project_id
  name                        = local.bucket
  location                    = var.region
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  force_destroy               = false
  labels                      = local.labels

  versioning {
    enabled = true
  }

  lifecycle_rule {
    action {
      type = "Delete"
    }

    condition {
      num_newer_versions         = 20
      days_since_noncurrent_time = 365
    }
  }

  dynamic "encryption" {
    for_each = var.kms_key == null ? [] : [var.kms_key]

    content {
      default_kms_key_name = encryption.value
    }
  }
}

resource "google_storage_bucket_iam_member" "agent" {
  bucket = google_storage_bucket.state.name
  role   = "roles/storage.objectUser"
  member = google_service_account.agent.member
}

resource "google_secret_manager_secret" "token" {
  project   = var.project_id
  secret_id = "${local.prefix}-token"
  labels    = local.labels

  replication {
    user_managed {
      replicas {
        location = var.region
      }
    }
  }
}

resource "google_secret_manager_secret_version" "token" {
  secret                 = google_secret_manager_secret.token.id
  secret_data_wo         = trimspace(coalesce(var.enrollment_token, "used"))
  secret_data_wo_version = var.enrollment_number
}

resource "google_secret_manager_secret_iam_member" "token" {
  project   = var.project_id
  secret_id = google_secret_manager_secret.token.secret_id
  role      = "roles/secretmanager.secretAccessor"
  member    = google_service_account.agent.member
}

resource "google_secret_manager_secret_iam_member" "readable" {
  for_each = var.readable_secrets

  project   = var.project_id
  secret_id = each.key
  role      = "roles/secretmanager.secretAccessor"
  member    = google_service_account.agent.member
}

# The agent's key, journal and ledger: they outlive the machine.
resource "google_compute_disk" "home" {
  #checkov:skip=CKV_GCP_37:A key of the project's own is var.kms_key; without it, Google's own key encrypts.
  project = var.project_id
  name    = "${local.prefix}-home"
  zone    = var.zone
  type    = "pd-balanced"
  size    = 20
  labels  = local.labels

  dynamic "disk_encryption_key" {
    for_each = var.kms_key == null ? [] : [var.kms_key]

    content {
      kms_key_self_link = disk_encryption_key.value
    }
  }
}
