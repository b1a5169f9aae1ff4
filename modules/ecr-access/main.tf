# One role. Who may assume it and what it may do is computed in ./policy, which needs no provider.

locals {
  # Every repository is in the same account: the validation of `repository_arns` holds.
  partition = split(":", sort(var.repository_arns)[0])[1]
  account   = split(":", sort(var.repository_arns)[0])[4]

  # Characters: the limits of IAM.
  longest_trust_policy = 2048
  longest_pull_policy  = 10240
}

data "aws_caller_identity" "current" {}

module "policy" {
  source = "./policy"

  repository_arns         = var.repository_arns
  pull_through_cache_arns = var.pull_through_cache_arns
  vendor_role_arns        = var.vendor_role_arns
  external_id             = var.external_id
  gcp_service_account_ids = [for principal in var.gcp_principals : principal.service_account_unique_id]
  gcp_token_audience      = var.gcp_token_audience
}

resource "aws_iam_role" "this" {
  name                 = var.role_name
  path                 = var.path
  description          = "Pulls images from the ECR repositories that its policy names, for an Exclave build agent."
  assume_role_policy   = module.policy.trust_policy_json
  permissions_boundary = var.permissions_boundary
  max_session_duration = var.max_session_duration
  tags                 = var.tags

  lifecycle {
    precondition {
      condition     = length(var.vendor_role_arns) + length(var.gcp_principals) > 0
      error_message = "Nobody could assume this role: set vendor_role_arns (with external_id), gcp_principals, or both."
    }

    precondition {
      condition     = data.aws_caller_identity.current.account_id == local.account
      error_message = "The repositories are in account ${local.account}, but the aws provider works in ${data.aws_caller_identity.current.account_id}: apply this module in the account that has the repositories."
    }

    precondition {
      condition     = length(module.policy.trust_policy_json) <= local.longest_trust_policy
      error_message = "The trust policy has ${length(module.policy.trust_policy_json)} characters, and IAM takes ${local.longest_trust_policy}: name fewer vendor_role_arns or gcp_principals, or use this module twice with two values of role_name."
    }
  }
}

resource "aws_iam_role_policy" "pull" {
  name   = "pull"
  role   = aws_iam_role.this.name
  policy = module.policy.pull_policy_json

  lifecycle {
    precondition {
      condition     = length(module.policy.pull_policy_json) <= local.longest_pull_policy
      error_message = "The pull policy has ${length(module.policy.pull_policy_json)} characters, and IAM takes ${local.longest_pull_policy} for a role: name repositories by a common prefix (`…:repository/shop/*`), or use this module twice with two values of role_name."
    }
  }
}
