# The policies themselves, without any provider or account: `terraform init && terraform test` in this folder.

variables {
  repository_arns = ["arn:aws:ecr:eu-west-1:111111111111:repository/shop/web"]
}

run "vendor_roles_need_their_own_arn_and_the_external_id" {
  command = plan

  variables {
    vendor_role_arns = ["arn:aws:iam::222222222222:role/b", "arn:aws:iam::222222222222:role/a", "arn:aws:iam::333333333333:role/c"]
    external_id      = "org-7f3c1a"
  }

  assert {
    condition = jsondecode(output.trust_policy_json) == {
      Version = "2012-10-17"
      Statement = [{
        Sid       = "VendorRoles"
        Effect    = "Allow"
        Action    = "sts:AssumeRole"
        Principal = { AWS = ["arn:aws:iam::222222222222:root", "arn:aws:iam::333333333333:root"] }
        Condition = {
          ArnEquals    = { "aws:PrincipalArn" = ["arn:aws:iam::222222222222:role/a", "arn:aws:iam::222222222222:role/b", "arn:aws:iam::333333333333:role/c"] }
          StringEquals = { "sts:ExternalId" = "org-7f3c1a" }
        }
      }]
    }
    error_message = "The trust of the vendor's roles isn't what is documented."
  }
}

run "google_service_accounts_need_their_id_and_the_audience" {
  command = plan

  variables {
    gcp_service_account_ids = ["104857600000000000002", "104857600000000000001"]
    gcp_token_audience      = "exclave-acme"
  }

  assert {
    condition = jsondecode(output.trust_policy_json).Statement == [{
      Sid       = "GoogleServiceAccounts"
      Effect    = "Allow"
      Action    = "sts:AssumeRoleWithWebIdentity"
      Principal = { Federated = "accounts.google.com" }
      Condition = {
        StringEquals = {
          "accounts.google.com:sub"  = ["104857600000000000001", "104857600000000000002"]
          "accounts.google.com:oaud" = "exclave-acme"
        }
      }
    }]
    error_message = "The trust of Google service accounts isn't what is documented."
  }
}

run "what_it_grants_is_pulling_and_nothing_else" {
  command = plan

  assert {
    condition = jsondecode(output.pull_policy_json) == {
      Version = "2012-10-17"
      Statement = [
        { Sid = "LogIn", Effect = "Allow", Action = "ecr:GetAuthorizationToken", Resource = "*" },
        {
          Sid      = "Pull"
          Effect   = "Allow"
          Action   = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:DescribeImages", "ecr:GetDownloadUrlForLayer"]
          Resource = ["arn:aws:ecr:eu-west-1:111111111111:repository/shop/web"]
        },
      ]
    }
    error_message = "The pull policy isn't what is documented."
  }
}

run "a_cache_may_be_filled_and_the_other_repositories_may_not" {
  command = plan

  variables {
    pull_through_cache_arns = ["arn:aws:ecr:eu-west-1:111111111111:repository/docker-hub/*"]
  }

  assert {
    condition     = jsondecode(output.pull_policy_json).Statement[1].Resource == ["arn:aws:ecr:eu-west-1:111111111111:repository/docker-hub/*", "arn:aws:ecr:eu-west-1:111111111111:repository/shop/web"]
    error_message = "What is in the cache may be pulled, too."
  }

  assert {
    condition = jsondecode(output.pull_policy_json).Statement[2] == {
      Sid      = "PullThroughCache"
      Effect   = "Allow"
      Action   = ["ecr:BatchImportUpstreamImage", "ecr:CreateRepository"]
      Resource = ["arn:aws:ecr:eu-west-1:111111111111:repository/docker-hub/*"]
    }
    error_message = "Only the repositories of the cache may be created and filled."
  }
}

run "no_repository_is_refused" {
  command = plan

  variables {
    repository_arns = []
  }

  expect_failures = [var.repository_arns]
}

run "a_cache_of_everything_is_refused" {
  command = plan

  variables {
    pull_through_cache_arns = ["*"]
  }

  expect_failures = [var.pull_through_cache_arns]
}

run "a_whole_account_is_refused" {
  command = plan

  variables {
    vendor_role_arns = ["arn:aws:iam::222222222222:root"]
    external_id      = "org-7f3c1a"
  }

  expect_failures = [var.vendor_role_arns]
}

run "a_role_without_an_external_id_is_refused" {
  command = plan

  variables {
    vendor_role_arns = ["arn:aws:iam::222222222222:role/a"]
  }

  expect_failures = [var.external_id]
}

run "an_address_in_place_of_the_unique_id_is_refused" {
  command = plan

  variables {
    gcp_service_account_ids = ["build-agent@acme.iam.gserviceaccount.com"]
  }

  expect_failures = [var.gcp_service_account_ids]
}

run "an_empty_audience_is_refused" {
  command = plan

  variables {
    gcp_token_audience = ""
  }

  expect_failures = [var.gcp_token_audience]
}
