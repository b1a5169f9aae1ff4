# Every validation and precondition: what is refused, and that what is next to it is not.

mock_provider "google" {
  mock_resource "google_service_account" {
    defaults = {
      name  = "projects/acme-images/serviceAccounts/exclave-gar-access@acme-images.iam.gserviceaccount.com"
      email = "exclave-gar-access@acme-images.iam.gserviceaccount.com"
    }
  }

  mock_resource "google_iam_workload_identity_pool_provider" {
    defaults = { name = "projects/424242424242/locations/global/workloadIdentityPools/exclave-aws/providers/aws-222222222222" }
  }
}

variables {
  project_id          = "acme-images"
  repository_location = "europe-west1"
  repository_ids      = ["shop"]
  customer_principals = ["serviceAccount:build-agent@acme-platform.iam.gserviceaccount.com"]
}

run "the_minimum_is_enough" {
  command = apply

  assert {
    condition     = google_service_account.reader.account_id == "exclave-gar-access" && google_service_account_iam_member.customer["serviceAccount:build-agent@acme-platform.iam.gserviceaccount.com"].role == "roles/iam.workloadIdentityUser"
    error_message = "The defaults aren't the documented ones."
  }

  assert {
    condition     = length(google_iam_workload_identity_pool.aws) == 0 && output.workload_identity_provider_paths == {}
    error_message = "Without AWS roles there is no pool."
  }

  assert {
    condition     = output.repository_urls == { shop = "europe-west1-docker.pkg.dev/acme-images/shop" }
    error_message = "A repository's address is made of location, project and id."
  }
}

run "an_aws_role_alone_is_enough" {
  command = apply

  variables {
    customer_principals = []
    aws_principals      = [{ aws_account_id = "222222222222", role_names = ["agent", "ops"] }]
  }

  assert {
    condition     = google_iam_workload_identity_pool_provider.aws["222222222222"].attribute_condition == "assertion.account == '222222222222' && attribute.aws_role in ['arn:aws:sts::222222222222:assumed-role/agent', 'arn:aws:sts::222222222222:assumed-role/ops']"
    error_message = "The condition names the roles."
  }

  assert {
    condition     = google_service_account_iam_member.aws["222222222222/agent"].member == "principalSet://iam.googleapis.com/projects/424242424242/locations/global/workloadIdentityPools/exclave-aws/attribute.aws_role/arn:aws:sts::222222222222:assumed-role/agent"
    error_message = "Each role has a binding of its own."
  }

  assert {
    condition     = length(google_iam_workload_identity_pool_provider.aws["222222222222"].display_name) <= 32
    error_message = "Google takes 32 characters."
  }

  assert {
    condition     = jsondecode(output.credential_config_json["222222222222"]).audience == "//iam.googleapis.com/projects/424242424242/locations/global/workloadIdentityPools/exclave-aws/providers/aws-222222222222"
    error_message = "The configuration names the provider."
  }
}

run "a_session_name_binds_a_role_to_one_customer" {
  command = plan

  variables {
    aws_principals = [{ aws_account_id = "222222222222", role_names = ["agent"], session_name = "org-7f3c1a" }]
  }

  assert {
    condition     = endswith(google_iam_workload_identity_pool_provider.aws["222222222222"].attribute_condition, " && assertion.arn in ['arn:aws:sts::222222222222:assumed-role/agent/org-7f3c1a']")
    error_message = "The condition names the session."
  }
}

run "any_role_is_let_in_only_where_it_is_said" {
  command = plan

  variables {
    aws_principals = [{ aws_account_id = "222222222222", allow_any_role = true }]
  }

  assert {
    condition     = google_iam_workload_identity_pool_provider.aws["222222222222"].attribute_condition == "assertion.account == '222222222222'"
    error_message = "The account is the condition."
  }
}

run "a_pool_that_is_there_is_used" {
  command = plan

  variables {
    existing_workload_identity_pool = "platform"
    aws_principals                  = [{ aws_account_id = "222222222222", role_names = ["agent"], provider_id = "acme" }]
  }

  assert {
    condition     = length(google_iam_workload_identity_pool.aws) == 0 && google_iam_workload_identity_pool_provider.aws["222222222222"].workload_identity_pool_id == "platform" && google_iam_workload_identity_pool_provider.aws["222222222222"].workload_identity_pool_provider_id == "acme"
    error_message = "No pool is made."
  }
}

run "principals_of_a_pool_are_taken" {
  command = plan

  variables {
    customer_principals = ["principal://iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p1.svc.id.goog/subject/ns/x/sa/y", "principalSet://iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/pool/attribute.team/platform"]
    impersonation_role  = "projects/acme-images/roles/tokenGetter"
  }

  assert {
    condition     = length(google_service_account_iam_member.customer) == 2
    error_message = "Both have a binding."
  }
}

run "a_projects_number_is_refused" {
  command = plan

  variables {
    project_id = "424242424242"
  }

  expect_failures = [var.project_id]
}

run "a_location_with_a_path_is_refused" {
  command = plan

  variables {
    repository_location = "locations/europe-west1"
  }

  expect_failures = [var.repository_location]
}

run "no_repository_is_refused" {
  command = plan

  variables {
    repository_ids = []
  }

  expect_failures = [var.repository_ids]
}

run "a_repositorys_path_is_refused" {
  command = plan

  variables {
    repository_ids = ["projects/acme-images/locations/europe-west1/repositories/shop"]
  }

  expect_failures = [var.repository_ids]
}

run "every_repository_is_refused" {
  command = plan

  variables {
    repository_ids = ["*"]
  }

  expect_failures = [var.repository_ids]
}

run "a_service_account_id_that_is_too_short_is_refused" {
  command = plan

  variables {
    service_account_id = "agent"
  }

  expect_failures = [var.service_account_id]
}

run "a_service_account_id_that_is_too_long_is_refused" {
  command = plan

  variables {
    service_account_id = format("a%030d", 0)
  }

  expect_failures = [var.service_account_id]
}

run "everybody_is_refused" {
  command = plan

  variables {
    customer_principals = ["allUsers"]
  }

  expect_failures = [var.customer_principals]
}

run "everybody_with_an_account_is_refused" {
  command = plan

  variables {
    customer_principals = ["allAuthenticatedUsers"]
  }

  expect_failures = [var.customer_principals]
}

run "a_domain_is_refused" {
  command = plan

  variables {
    customer_principals = ["domain:acme.example"]
  }

  expect_failures = [var.customer_principals]
}

run "a_person_is_refused" {
  command = plan

  variables {
    customer_principals = ["user:jo@acme.example"]
  }

  expect_failures = [var.customer_principals]
}

run "a_whole_pool_is_refused" {
  command = plan

  variables {
    customer_principals = ["principalSet://iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/pool/*"]
  }

  expect_failures = [var.customer_principals]
}

run "an_address_without_its_kind_is_refused" {
  command = plan

  variables {
    customer_principals = ["build-agent@acme-platform.iam.gserviceaccount.com"]
  }

  expect_failures = [var.customer_principals]
}

run "a_role_that_can_do_anything_is_refused" {
  command = plan

  variables {
    impersonation_role = "roles/owner"
  }

  expect_failures = [var.impersonation_role]
}

run "an_account_of_eleven_digits_is_refused" {
  command = plan

  variables {
    aws_principals = [{ aws_account_id = "22222222222", role_names = ["agent"] }]
  }

  expect_failures = [var.aws_principals]
}

run "an_account_twice_is_refused" {
  command = plan

  variables {
    aws_principals = [{ aws_account_id = "222222222222", role_names = ["agent"] }, { aws_account_id = "222222222222", role_names = ["ops"], provider_id = "second" }]
  }

  expect_failures = [var.aws_principals]
}

run "an_account_without_roles_is_refused" {
  command = plan

  variables {
    aws_principals = [{ aws_account_id = "222222222222" }]
  }

  expect_failures = [var.aws_principals]
}

run "roles_and_any_role_are_refused" {
  command = plan

  variables {
    aws_principals = [{ aws_account_id = "222222222222", role_names = ["agent"], allow_any_role = true }]
  }

  expect_failures = [var.aws_principals]
}

run "a_roles_arn_is_refused" {
  command = plan

  variables {
    aws_principals = [{ aws_account_id = "222222222222", role_names = ["arn:aws:iam::222222222222:role/agent"] }]
  }

  expect_failures = [var.aws_principals]
}

run "a_roles_path_is_refused" {
  command = plan

  variables {
    aws_principals = [{ aws_account_id = "222222222222", role_names = ["agents/agent"] }]
  }

  expect_failures = [var.aws_principals]
}

run "a_quote_in_a_roles_name_is_refused" {
  command = plan

  variables {
    aws_principals = [{ aws_account_id = "222222222222", role_names = ["agent'] || true || x in ['"] }]
  }

  expect_failures = [var.aws_principals]
}

run "a_quote_in_a_session_name_is_refused" {
  command = plan

  variables {
    aws_principals = [{ aws_account_id = "222222222222", role_names = ["agent"], session_name = "x'] || true || x in ['" }]
  }

  expect_failures = [var.aws_principals]
}

run "a_session_name_of_any_role_is_refused" {
  command = plan

  variables {
    aws_principals = [{ aws_account_id = "222222222222", allow_any_role = true, session_name = "org-7f3c1a" }]
  }

  expect_failures = [var.aws_principals]
}

run "a_provider_id_that_google_reserves_is_refused" {
  command = plan

  variables {
    aws_principals = [{ aws_account_id = "222222222222", role_names = ["agent"], provider_id = "gcp-agent" }]
  }

  expect_failures = [var.aws_principals]
}

run "a_provider_id_that_is_too_long_is_refused" {
  command = plan

  variables {
    aws_principals = [{ aws_account_id = "222222222222", role_names = ["agent"], provider_id = format("%033d", 0) }]
  }

  expect_failures = [var.aws_principals]
}

run "provider_ids_that_collide_are_refused" {
  command = plan

  variables {
    aws_principals = [{ aws_account_id = "222222222222", role_names = ["agent"] }, { aws_account_id = "333333333333", role_names = ["agent"], provider_id = "aws-222222222222" }]
  }

  expect_failures = [var.aws_principals]
}

run "a_pool_id_that_google_reserves_is_refused" {
  command = plan

  variables {
    workload_identity_pool_id = "gcp-pool"
  }

  expect_failures = [var.workload_identity_pool_id]
}

run "a_pools_path_is_refused" {
  command = plan

  variables {
    existing_workload_identity_pool = "projects/1/locations/global/workloadIdentityPools/platform"
  }

  expect_failures = [var.existing_workload_identity_pool]
}

run "an_account_that_nobody_could_act_as_is_refused" {
  command = plan

  variables {
    customer_principals = []
  }

  expect_failures = [google_service_account.reader]
}

run "a_condition_that_is_too_long_is_refused" {
  command = plan

  variables {
    aws_principals = [{ aws_account_id = "222222222222", role_names = [for number in range(80) : "exclave-build-agent-${number}"] }]
  }

  expect_failures = [google_iam_workload_identity_pool_provider.aws]
}
