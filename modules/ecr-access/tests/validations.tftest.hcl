# Every validation and precondition: what is refused, and that what is next to it is not.

mock_provider "aws" {
  mock_data "aws_caller_identity" {
    defaults = { account_id = "111111111111" }
  }

  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::111111111111:role/exclave-ecr-access" }
  }
}

variables {
  repository_arns  = ["arn:aws:ecr:eu-west-1:111111111111:repository/shop/web"]
  vendor_role_arns = ["arn:aws:iam::222222222222:role/exclave-build-agent"]
  external_id      = "org-7f3c1a"
}

run "the_minimum_is_enough" {
  command = apply

  assert {
    condition     = aws_iam_role.this.name == "exclave-ecr-access" && aws_iam_role.this.path == "/" && aws_iam_role.this.max_session_duration == 3600
    error_message = "The defaults aren't the documented ones."
  }

  assert {
    condition     = output.role_arn == "arn:aws:iam::111111111111:role/exclave-ecr-access" && output.iam_role_arn == output.role_arn
    error_message = "Both outputs are the role's ARN."
  }

  assert {
    condition     = output.registry_urls == { "eu-west-1" = "111111111111.dkr.ecr.eu-west-1.amazonaws.com" }
    error_message = "The registry's host is made of account and region."
  }

  assert {
    condition     = aws_iam_role_policy.pull.policy == output.pull_policy_json && aws_iam_role.this.assume_role_policy == output.trust_policy_json
    error_message = "What is put out is what is applied."
  }
}

run "google_service_accounts_alone_are_enough" {
  command = plan

  variables {
    vendor_role_arns = []
    external_id      = null
    gcp_principals   = [{ service_account_unique_id = "104857600000000000001" }]
  }

  assert {
    condition     = length(jsondecode(output.trust_policy_json).Statement) == 1
    error_message = "Only Google is trusted."
  }
}

run "a_pattern_has_no_address_and_a_repository_has" {
  command = plan

  variables {
    repository_arns = ["arn:aws:ecr:eu-west-1:111111111111:repository/shop/*", "arn:aws:ecr:us-east-1:111111111111:repository/worker"]
  }

  assert {
    condition     = output.repository_urls == { "arn:aws:ecr:us-east-1:111111111111:repository/worker" = "111111111111.dkr.ecr.us-east-1.amazonaws.com/worker" }
    error_message = "Repositories that are named whole have an address."
  }

  assert {
    condition     = length(output.registry_urls) == 2
    error_message = "Each region has a registry."
  }
}

run "china_has_a_domain_of_its_own" {
  command = plan

  variables {
    repository_arns  = ["arn:aws-cn:ecr:cn-north-1:111111111111:repository/web"]
    vendor_role_arns = ["arn:aws-cn:iam::222222222222:role/agent"]
  }

  assert {
    condition     = output.registry_urls["cn-north-1"] == "111111111111.dkr.ecr.cn-north-1.amazonaws.com.cn"
    error_message = "The partition decides the domain."
  }
}

run "the_longest_values_are_taken" {
  command = plan

  variables {
    external_id          = format("%01224d", 0)
    role_name            = format("%064d", 0)
    path                 = "/a/b/"
    permissions_boundary = "arn:aws:iam::aws:policy/ReadOnlyAccess"
    max_session_duration = 43200
    gcp_token_audience   = format("%0255d", 0)
    tags                 = { team = "platform" }
  }
}

run "no_repository_is_refused" {
  command = plan

  variables {
    repository_arns = []
  }

  expect_failures = [var.repository_arns]
}

run "every_repository_is_refused" {
  command = plan

  variables {
    repository_arns = ["*"]
  }

  expect_failures = [var.repository_arns]
}

run "every_repository_of_the_account_is_refused" {
  command = plan

  variables {
    repository_arns = ["arn:aws:ecr:eu-west-1:111111111111:repository/*"]
  }

  expect_failures = [var.repository_arns]
}

run "a_wildcard_inside_a_repositorys_name_is_refused" {
  command = plan

  variables {
    repository_arns = ["arn:aws:ecr:eu-west-1:111111111111:repository/shop*/web"]
  }

  expect_failures = [var.repository_arns]
}

run "a_wildcard_for_the_region_is_refused" {
  command = plan

  variables {
    repository_arns = ["arn:aws:ecr:*:111111111111:repository/web"]
  }

  expect_failures = [var.repository_arns]
}

run "an_address_in_place_of_an_arn_is_refused" {
  command = plan

  variables {
    repository_arns = ["111111111111.dkr.ecr.eu-west-1.amazonaws.com/web"]
  }

  expect_failures = [var.repository_arns]
}

run "repositories_of_two_accounts_are_refused" {
  command = plan

  variables {
    repository_arns = ["arn:aws:ecr:eu-west-1:111111111111:repository/web", "arn:aws:ecr:eu-west-1:999999999999:repository/web"]
  }

  expect_failures = [var.repository_arns]
}

run "a_whole_account_is_refused" {
  command = plan

  variables {
    vendor_role_arns = ["arn:aws:iam::222222222222:root"]
  }

  expect_failures = [var.vendor_role_arns]
}

run "a_user_is_refused" {
  command = plan

  variables {
    vendor_role_arns = ["arn:aws:iam::222222222222:user/agent"]
  }

  expect_failures = [var.vendor_role_arns]
}

run "a_session_is_refused" {
  command = plan

  variables {
    vendor_role_arns = ["arn:aws:sts::222222222222:assumed-role/agent/session"]
  }

  expect_failures = [var.vendor_role_arns]
}

run "a_wildcard_in_a_role_is_refused" {
  command = plan

  variables {
    vendor_role_arns = ["arn:aws:iam::222222222222:role/*"]
  }

  expect_failures = [var.vendor_role_arns]
}

run "everybody_is_refused" {
  command = plan

  variables {
    vendor_role_arns = ["*"]
  }

  expect_failures = [var.vendor_role_arns]
}

run "a_role_of_another_partition_is_refused" {
  command = plan

  variables {
    vendor_role_arns = ["arn:aws-us-gov:iam::222222222222:role/agent"]
  }

  expect_failures = [var.vendor_role_arns]
}

run "roles_without_an_external_id_are_refused" {
  command = plan

  variables {
    external_id = null
  }

  expect_failures = [var.external_id]
}

run "an_external_id_of_one_character_is_refused" {
  command = plan

  variables {
    external_id = "x"
  }

  expect_failures = [var.external_id]
}

run "an_external_id_that_is_too_long_is_refused" {
  command = plan

  variables {
    external_id = format("%01225d", 0)
  }

  expect_failures = [var.external_id]
}

run "an_external_id_with_a_wildcard_is_refused" {
  command = plan

  variables {
    external_id = "org-*"
  }

  expect_failures = [var.external_id]
}

run "an_address_in_place_of_the_unique_id_is_refused" {
  command = plan

  variables {
    gcp_principals = [{ service_account_unique_id = "agent@acme.iam.gserviceaccount.com" }]
  }

  expect_failures = [var.gcp_principals]
}

run "a_unique_id_of_twenty_digits_is_refused" {
  command = plan

  variables {
    gcp_principals = [{ service_account_unique_id = "10485760000000000000" }]
  }

  expect_failures = [var.gcp_principals]
}

run "a_service_account_twice_is_refused" {
  command = plan

  variables {
    gcp_principals = [{ service_account_unique_id = "104857600000000000001" }, { service_account_unique_id = "104857600000000000001" }]
  }

  expect_failures = [var.gcp_principals]
}

run "an_audience_with_a_wildcard_is_refused" {
  command = plan

  variables {
    gcp_token_audience = "exclave-*"
  }

  expect_failures = [var.gcp_token_audience]
}

run "an_empty_audience_is_refused" {
  command = plan

  variables {
    gcp_token_audience = ""
  }

  expect_failures = [var.gcp_token_audience]
}

run "an_audience_that_is_too_long_is_refused" {
  command = plan

  variables {
    gcp_token_audience = format("%0256d", 0)
  }

  expect_failures = [var.gcp_token_audience]
}

run "a_cache_of_everything_is_refused" {
  command = plan

  variables {
    pull_through_cache_arns = ["arn:aws:ecr:eu-west-1:111111111111:repository/*"]
  }

  expect_failures = [var.pull_through_cache_arns]
}

run "a_cache_in_another_account_is_refused" {
  command = plan

  variables {
    pull_through_cache_arns = ["arn:aws:ecr:eu-west-1:999999999999:repository/docker-hub/*"]
  }

  expect_failures = [var.pull_through_cache_arns]
}

run "a_role_name_with_a_slash_is_refused" {
  command = plan

  variables {
    role_name = "exclave/ecr"
  }

  expect_failures = [var.role_name]
}

run "a_role_name_that_is_too_long_is_refused" {
  command = plan

  variables {
    role_name = format("%065d", 0)
  }

  expect_failures = [var.role_name]
}

run "a_path_without_its_last_slash_is_refused" {
  command = plan

  variables {
    path = "/exclave"
  }

  expect_failures = [var.path]
}

run "a_path_that_is_too_long_is_refused" {
  command = plan

  variables {
    path = "/${format("%0511d", 0)}/"
  }

  expect_failures = [var.path]
}

run "a_boundary_by_name_is_refused" {
  command = plan

  variables {
    permissions_boundary = "boundary"
  }

  expect_failures = [var.permissions_boundary]
}

run "a_session_under_an_hour_is_refused" {
  command = plan

  variables {
    max_session_duration = 3599
  }

  expect_failures = [var.max_session_duration]
}

run "a_session_over_twelve_hours_is_refused" {
  command = plan

  variables {
    max_session_duration = 43201
  }

  expect_failures = [var.max_session_duration]
}

run "a_tag_that_aws_reserves_is_refused" {
  command = plan

  variables {
    tags = { "aws:team" = "platform" }
  }

  expect_failures = [var.tags]
}

run "more_than_fifty_tags_are_refused" {
  command = plan

  variables {
    tags = { for number in range(51) : "tag-${number}" => "x" }
  }

  expect_failures = [var.tags]
}

run "a_role_that_nobody_could_assume_is_refused" {
  command = plan

  variables {
    vendor_role_arns = []
  }

  expect_failures = [aws_iam_role.this]
}

run "another_account_than_the_repositories_is_refused" {
  command = plan

  variables {
    repository_arns = ["arn:aws:ecr:eu-west-1:999999999999:repository/web"]
  }

  expect_failures = [aws_iam_role.this]
}

run "a_trust_policy_that_is_too_long_is_refused" {
  command = plan

  variables {
    vendor_role_arns = [for number in range(40) : "arn:aws:iam::222222222222:role/exclave-build-agent-${number}"]
  }

  expect_failures = [aws_iam_role.this]
}

run "a_pull_policy_that_is_too_long_is_refused" {
  command = plan

  variables {
    repository_arns = [for number in range(200) : "arn:aws:ecr:eu-west-1:111111111111:repository/shop/${number}"]
  }

  expect_failures = [aws_iam_role_policy.pull]
}
