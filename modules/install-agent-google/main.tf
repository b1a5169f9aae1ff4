# What the agent is, and what it may do. What it keeps is in storage.tf, and how it runs in machine.tf.

locals {
  prefix   = "exclave-${replace(var.name, "_", "-")}"
  registry = "${var.region}-docker.pkg.dev"
  bucket   = coalesce(var.bucket_name, "${var.project_id}-${local.prefix}-state")
  labels   = merge(var.labels, { managed-by = "exclave", exclave-install = var.name })

  operations = { for operation, roles in { plan = var.plan_roles, apply = var.apply_roles } : operation => roles if length(roles) > 0 }
  granted    = merge([for operation, roles in local.operations : { for role in roles : "${operation} ${role}" => { operation = operation, role = role } }]...)
}

resource "google_service_account" "agent" {
  project      = var.project_id
  account_id   = "${local.prefix}-agent"
  display_name = "Exclave install agent of ${var.name}"
  description  = "Its registry, its state, its log, and the accounts for planning and applying."
}

resource "google_project_iam_member" "log" {
  project = var.project_id
  role    = "roles/logging.logWriter"
  member  = google_service_account.agent.member
}

resource "google_service_account" "operation" {
  for_each = local.operations

  project      = var.project_id
  account_id   = "${local.prefix}-${each.key}"
  display_name = "Exclave ${each.key} for ${var.name}"
  description  = "What a product's modules may do in this project when they ${each.key}. Only the agent may act as it."
}

resource "google_project_iam_member" "operation" {
  for_each = local.granted

  project = var.project_id
  role    = each.value.role
  member  = google_service_account.operation[each.value.operation].member
}

# For tokens of that account alone: not its keys, and no other account's tokens.
resource "google_service_account_iam_member" "operation" {
  for_each = local.operations

  service_account_id = google_service_account.operation[each.key].name
  role               = "roles/iam.serviceAccountTokenCreator"
  member             = google_service_account.agent.member
}
