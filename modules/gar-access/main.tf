# A service account that may read the repositories, and those who may act as it. Google Cloud's principals do so directly; AWS
# roles through a workload identity pool, where they prove who they are with a signed request to AWS. No key is ever made.

locals {
  aws = { for principal in var.aws_principals : principal.aws_account_id => principal }

  # A session's ARN has the role's name without its path.
  aws_roles = { for account, principal in local.aws : account => [for name in sort(principal.role_names) : "arn:aws:sts::${account}:assumed-role/${name}"] }

  # What Google asks of AWS's answer before it lets anybody in. The account is the provider's own: Google has looked at it already.
  aws_condition = {
    for account, principal in local.aws : account => join(" && ", compact([
      "assertion.account == '${account}'",
      principal.allow_any_role ? "" : "attribute.aws_role in [${join(", ", [for role in local.aws_roles[account] : "'${role}'"])}]",
      # A role of the vendor's serves many customers; the session's name, which the vendor sets, stands for this one.
      principal.session_name == null ? "" : "assertion.arn in [${join(", ", [for role in local.aws_roles[account] : "'${role}/${principal.session_name}'"])}]",
    ]))
  }

  # Who of the pool may act as the service account. The providers' names say which pool it is.
  pool = { for account, provider in google_iam_workload_identity_pool_provider.aws : account => trimsuffix(provider.name, "/providers/${provider.workload_identity_pool_provider_id}") }
  aws_members = merge([
    for account, principal in local.aws : principal.allow_any_role
    ? { "${account}/*" = { account = account, attribute = "aws_account/${account}" } }
    : { for role in local.aws_roles[account] : "${account}/${split("/", role)[1]}" => { account = account, attribute = "aws_role/${role}" } }
  ]...)

  # Characters: the limit of Google's.
  longest_condition = 4096
}

resource "google_service_account" "reader" {
  project      = var.project_id
  account_id   = var.service_account_id
  display_name = "Exclave image reader"
  description  = "Reads the repositories that name it, for an Exclave build agent. Has no keys."

  lifecycle {
    precondition {
      condition     = length(var.customer_principals) + length(var.aws_principals) > 0
      error_message = "Nobody could act as this service account: set customer_principals, aws_principals, or both."
    }
  }
}

resource "google_artifact_registry_repository_iam_member" "reader" {
  for_each = var.repository_ids

  project    = var.project_id
  location   = var.repository_location
  repository = each.key
  role       = "roles/artifactregistry.reader"
  member     = "serviceAccount:${google_service_account.reader.email}"
}

resource "google_service_account_iam_member" "customer" {
  for_each = var.customer_principals

  service_account_id = google_service_account.reader.name
  role               = var.impersonation_role
  member             = each.key
}

resource "google_iam_workload_identity_pool" "aws" {
  count = length(var.aws_principals) > 0 && var.existing_workload_identity_pool == null ? 1 : 0

  project                   = var.project_id
  workload_identity_pool_id = var.workload_identity_pool_id
  display_name              = "Exclave on AWS"
  description               = "AWS roles that may act as ${var.service_account_id}."
}

resource "google_iam_workload_identity_pool_provider" "aws" {
  for_each = local.aws

  project                            = var.project_id
  workload_identity_pool_id          = try(google_iam_workload_identity_pool.aws[0].workload_identity_pool_id, var.existing_workload_identity_pool)
  workload_identity_pool_provider_id = coalesce(each.value.provider_id, "aws-${each.key}")
  display_name                       = "AWS ${each.key}" # at most 32 characters, which no plan checks

  attribute_mapping = {
    # A subject has at most 127 characters, and a role's and a session's names can make more: then AWS's unique id stands for it.
    "google.subject"        = "size(assertion.arn) <= 127 ? assertion.arn : assertion.userid"
    "attribute.aws_account" = "assertion.account"
    "attribute.aws_role"    = "assertion.arn.contains('assumed-role') ? assertion.arn.extract('{account_arn}assumed-role/') + 'assumed-role/' + assertion.arn.extract('assumed-role/{role_name}/') : assertion.arn"
  }
  attribute_condition = local.aws_condition[each.key]

  aws {
    account_id = each.key
  }

  lifecycle {
    precondition {
      condition     = length(local.aws_condition[each.key]) <= local.longest_condition
      error_message = "The condition for AWS account ${each.key} has ${length(local.aws_condition[each.key])} characters, and Google takes ${local.longest_condition}: name fewer role_names."
    }
  }
}

resource "google_service_account_iam_member" "aws" {
  for_each = local.aws_members

  service_account_id = google_service_account.reader.name
  role               = var.impersonation_role
  member             = "principalSet://iam.googleapis.com/${local.pool[each.value.account]}/attribute.${each.value.attribute}"
}
