# Every validation: what is refused, and that what is next to it is not. Then what the agent may do, and what it may not.

mock_provider "google" {
  mock_resource "google_service_account" {
    defaults = {
      name   = "projects/acme-shop/serviceAccounts/exclave-acme@acme-shop.iam.gserviceaccount.com"
      email  = "exclave-acme@acme-shop.iam.gserviceaccount.com"
      member = "serviceAccount:exclave-acme@acme-shop.iam.gserviceaccount.com"
    }
  }
}

variables {
  name       = "acme"
  project_id = "acme-shop"
  region     = "europe-west1"
  zone       = "europe-west1-b"
  ims_url    = "https://ims.example.com"
  image      = "europe-west1-docker.pkg.dev/acme-shop/tools/exclave-agent:0.1.0"
  network    = "projects/acme-shop/global/networks/main"
  subnetwork = "projects/acme-shop/regions/europe-west1/subnetworks/private"

  # `terraform test` applies no root module whose ephemeral variable isn't set.
  enrollment_token = "exce_0123456789"
}

run "the_minimum_is_enough" {
  command = apply

  assert {
    condition     = length(google_service_account.operation) == 0 && output.plan_email == null && output.apply_email == null && length(google_project_iam_member.operation) == 0
    error_message = "Without roles there are no accounts for planning and applying, and nothing in the project but the log."
  }

  assert {
    condition     = google_project_iam_member.log.role == "roles/logging.logWriter" && google_storage_bucket_iam_member.agent.role == "roles/storage.objectUser" && google_artifact_registry_repository_iam_member.agent.role == "roles/artifactregistry.writer"
    error_message = "The agent's roles aren't the documented ones."
  }

  assert {
    condition     = length(google_compute_instance.agent.network_interface[0].access_config) == 0 && google_compute_instance.agent.shielded_instance_config[0].enable_secure_boot
    error_message = "The machine has no public address."
  }

  assert {
    condition     = one(google_compute_firewall.in.deny).protocol == "all" && one(google_compute_firewall.nothing_else_out.deny).protocol == "all" && google_compute_firewall.in.priority < 1000 && one(google_compute_firewall.out["0.0.0.0/0 443"].allow).ports == tolist(["443"])
    error_message = "Nothing comes in, and nothing but 443 goes out."
  }

  assert {
    condition     = google_storage_bucket.state.public_access_prevention == "enforced" && google_storage_bucket.state.uniform_bucket_level_access && google_storage_bucket.state.versioning[0].enabled
    error_message = "The bucket is closed, and keeps versions."
  }

  assert {
    condition     = output.state_bucket == "acme-shop-exclave-acme-state" && output.registry_url == "https://europe-west1-docker.pkg.dev/acme-shop/exclave-acme"
    error_message = "Names aren't the documented ones."
  }

  assert {
    condition     = length(google_artifact_registry_repository_iam_member.image) == 0
    error_message = "Without a repository of the image, nothing can be read but the agent's own."
  }
}

run "what_the_machine_does_is_yaml_and_has_no_token" {
  command = apply

  assert {
    condition     = !strcontains(output.cloud_init, "exce_") && strcontains(yamldecode(output.cloud_init).write_files[0].content, "EXCLAVE_TOKEN_REFERENCE=ref+gcpsm://acme-shop/exclave-acme-token\n")
    error_message = "The machine knows where the token is, and not the token."
  }

  assert {
    condition     = strcontains(yamldecode(output.cloud_init).write_files[0].content, "EXCLAVE_AGENT_STATE=gs://acme-shop-exclave-acme-state/states\n") && strcontains(yamldecode(output.cloud_init).write_files[0].content, "EXCLAVE_URL=https://ims.example.com\n")
    error_message = "The agent's settings are those of the install."
  }

  assert {
    condition     = alltrue([for option in ["--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges"] : strcontains(one([for file in yamldecode(output.cloud_init).write_files : file.content if endswith(file.path, ".service")]), option)]) && !strcontains(output.cloud_init, "--publish")
    error_message = "The container is closed."
  }

  assert {
    condition     = google_secret_manager_secret_version.token.secret_data == null && tostring(google_secret_manager_secret_version.token.secret_data_wo_version) == "1"
    error_message = "The token is in no attribute that a state keeps."
  }
}

run "accounts_for_planning_and_applying_are_the_agents_alone" {
  command = apply

  variables {
    plan_roles  = ["roles/compute.viewer"]
    apply_roles = ["roles/cloudsql.admin", "projects/acme-shop/roles/shopInstaller"]
  }

  assert {
    condition     = length(google_project_iam_member.operation) == 3 && length(google_service_account_iam_member.operation) == 2
    error_message = "Each has its roles, and the agent may act as each."
  }

  assert {
    condition     = alltrue([for member in google_service_account_iam_member.operation : member.role == "roles/iam.serviceAccountTokenCreator" && member.member == google_service_account.agent.member])
    error_message = "Nobody else may act as them."
  }
}

run "a_key_of_the_projects_own_is_used_everywhere" {
  command = apply

  variables {
    kms_key = "projects/acme-shop/locations/europe-west1/keyRings/exclave/cryptoKeys/state"
  }

  assert {
    condition     = google_storage_bucket.state.encryption[0].default_kms_key_name == var.kms_key && google_artifact_registry_repository.artifacts.kms_key_name == var.kms_key && google_compute_disk.home.disk_encryption_key[0].kms_key_self_link == var.kms_key && google_compute_instance.agent.boot_disk[0].kms_key_self_link == var.kms_key
    error_message = "Bucket, repository and disks have the key."
  }
}

run "the_repository_of_the_image_can_be_read" {
  command = apply

  variables {
    image_repository = { location = "europe-west1", name = "tools" }
    readable_secrets = ["shop-database"]
  }

  assert {
    condition     = google_artifact_registry_repository_iam_member.image[0].role == "roles/artifactregistry.reader" && google_secret_manager_secret_iam_member.readable["shop-database"].role == "roles/secretmanager.secretAccessor"
    error_message = "The agent may pull its image, and read the secret."
  }
}

run "a_name_with_a_capital_is_refused" {
  command = plan

  variables {
    name = "Acme"
  }

  expect_failures = [var.name]
}

run "a_name_that_is_too_long_is_refused" {
  command = plan

  variables {
    name = "a0123456789012345"
  }

  expect_failures = [var.name]
}

run "a_projects_number_is_refused" {
  command = plan

  variables {
    project_id = "424242424242"
  }

  expect_failures = [var.project_id]
}

run "a_zone_is_no_region" {
  command = plan

  variables {
    region     = "europe-west1-b"
    zone       = "europe-west1-b-b"
    subnetwork = "projects/acme-shop/regions/europe-west1-b/subnetworks/private"
  }

  expect_failures = [var.region]
}

run "a_zone_of_another_region_is_refused" {
  command = plan

  variables {
    zone = "us-central1-a"
  }

  expect_failures = [var.zone]
}

run "an_address_without_a_scheme_is_refused" {
  command = plan

  variables {
    ims_url = "ims.example.com"
  }

  expect_failures = [var.ims_url]
}

run "an_image_with_a_space_is_refused" {
  command = plan

  variables {
    image = "exclave agent"
  }

  expect_failures = [var.image]
}

run "a_repository_that_the_image_is_not_in_is_refused" {
  command = plan

  variables {
    image_repository = { location = "europe-west1", name = "other" }
  }

  expect_failures = [var.image_repository]
}

run "a_token_with_spaces_is_refused" {
  command = plan

  variables {
    enrollment_token = "two words"
  }

  expect_failures = [var.enrollment_token]
}

run "no_token_at_all_is_no_number" {
  command = plan

  variables {
    enrollment_number = 0
  }

  expect_failures = [var.enrollment_number]
}

run "a_networks_name_is_refused" {
  command = plan

  variables {
    network = "main"
  }

  expect_failures = [var.network]
}

run "a_subnetwork_of_another_region_is_refused" {
  command = plan

  variables {
    subnetwork = "projects/acme-shop/regions/us-central1/subnetworks/private"
  }

  expect_failures = [var.subnetwork]
}

run "no_way_out_is_refused" {
  command = plan

  variables {
    egress = []
  }

  expect_failures = [var.egress]
}

run "a_bucket_with_a_capital_is_refused" {
  command = plan

  variables {
    bucket_name = "Acme"
  }

  expect_failures = [var.bucket_name]
}

run "a_key_of_another_region_is_refused" {
  command = plan

  variables {
    kms_key = "projects/acme-shop/locations/us/keyRings/exclave/cryptoKeys/state"
  }

  expect_failures = [var.kms_key]
}

run "an_owner_who_plans_is_refused" {
  command = plan

  variables {
    plan_roles = ["roles/owner"]
  }

  expect_failures = [var.plan_roles]
}

run "an_editor_who_applies_is_refused" {
  command = plan

  variables {
    apply_roles = ["roles/editor"]
  }

  expect_failures = [var.apply_roles]
}

run "one_who_could_give_itself_any_role_is_refused" {
  command = plan

  variables {
    apply_roles = ["roles/resourcemanager.projectIamAdmin"]
  }

  expect_failures = [var.apply_roles]
}

run "a_secrets_path_is_refused" {
  command = plan

  variables {
    readable_secrets = ["projects/acme-shop/secrets/shop-database"]
  }

  expect_failures = [var.readable_secrets]
}

run "a_setting_of_the_modules_own_is_refused" {
  command = plan

  variables {
    environment = { EXCLAVE_URL = "https://elsewhere.example.com" }
  }

  expect_failures = [var.environment]
}

run "a_setting_with_another_inside_is_refused" {
  command = plan

  variables {
    environment = { A = "b\nEXCLAVE_URL=https://elsewhere.example.com" }
  }

  expect_failures = [var.environment]
}

run "a_machine_type_with_a_path_is_refused" {
  command = plan

  variables {
    machine_type = "zones/x/machineTypes/e2-medium"
  }

  expect_failures = [var.machine_type]
}

run "a_label_with_a_capital_is_refused" {
  command = plan

  variables {
    labels = { Team = "platform" }
  }

  expect_failures = [var.labels]
}

run "a_policy_without_a_version_is_refused" {
  command = plan

  variables {
    policy = "mode: read_only"
  }

  expect_failures = [var.policy]
}

run "the_customers_rules_are_read_only_for_the_agent" {
  command = apply

  variables {
    policy = "version: 1\nmode: read_only\n"
  }

  assert {
    condition     = one([for file in yamldecode(output.cloud_init).write_files : yamldecode(file.content).mode if endswith(file.path, "policy.yaml")]) == "read_only"
    error_message = "The machine has the rules."
  }

  assert {
    condition     = strcontains(output.cloud_init, "--volume=/etc/exclave-rules:/etc/exclave:ro")
    error_message = "The agent reads them."
  }
}
