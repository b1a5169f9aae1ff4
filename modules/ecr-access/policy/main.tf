# All that this module grants is on this page: who may assume the role, and what it may do then.
# It has no provider, so `terraform test` shows the policies without an account, and a plan shows them whole.

terraform {
  required_version = ">= 1.9"
}

locals {
  vendor_accounts = distinct([for arn in sort(var.vendor_role_arns) : join(":", slice(split(":", arn), 0, 5))])

  # An account's root stands for the account, and the condition on aws:PrincipalArn for the one role in it. A role named as the
  # principal itself must exist when this is applied, and loses the trust when it is made anew.
  trusted_vendors = length(var.vendor_role_arns) == 0 ? [] : [{
    Sid       = "VendorRoles"
    Effect    = "Allow"
    Action    = "sts:AssumeRole"
    Principal = { AWS = [for account in local.vendor_accounts : "${account}:root"] }
    Condition = {
      ArnEquals = { "aws:PrincipalArn" = sort(var.vendor_role_arns) }
      # Against a confused deputy: the vendor's role serves many customers, and gives this id for this one alone.
      StringEquals = { "sts:ExternalId" = var.external_id }
    }
  }]

  trusted_google = length(var.gcp_service_account_ids) == 0 ? [] : [{
    Sid       = "GoogleServiceAccounts"
    Effect    = "Allow"
    Action    = "sts:AssumeRoleWithWebIdentity"
    Principal = { Federated = "accounts.google.com" }
    Condition = {
      StringEquals = {
        "accounts.google.com:sub" = sort(var.gcp_service_account_ids)
        # AWS calls the token's `aud` claim `oaud`, and its `azp` claim `aud`. Without it, a token that the service account
        # made for anybody else would do.
        "accounts.google.com:oaud" = var.gcp_token_audience
      }
    }
  }]

  pull = [
    {
      Sid      = "LogIn"
      Effect   = "Allow"
      Action   = "ecr:GetAuthorizationToken"
      Resource = "*" # it knows no resources; what the token is good for is the next statement's
    },
    {
      Sid    = "Pull"
      Effect = "Allow"
      Action = [
        "ecr:BatchCheckLayerAvailability",
        "ecr:BatchGetImage",
        "ecr:DescribeImages",
        "ecr:GetDownloadUrlForLayer",
      ]
      Resource = sort(setunion(var.repository_arns, var.pull_through_cache_arns))
    },
  ]

  # The first pull of an image through a cache makes its repository and fetches it from upstream.
  pull_through_cache = length(var.pull_through_cache_arns) == 0 ? [] : [{
    Sid      = "PullThroughCache"
    Effect   = "Allow"
    Action   = ["ecr:BatchImportUpstreamImage", "ecr:CreateRepository"]
    Resource = sort(var.pull_through_cache_arns)
  }]
}
