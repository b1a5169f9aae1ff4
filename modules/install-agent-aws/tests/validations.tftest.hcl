# Every validation: what is refused, and that what is next to it is not. Then what the agent may do, and what it may not.

mock_provider "aws" {
  mock_data "aws_caller_identity" {
    defaults = { account_id = "111111111111" }
  }

  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::111111111111:role/exclave-acme-agent" }
  }

  mock_resource "aws_secretsmanager_secret" {
    defaults = { arn = "arn:aws:secretsmanager:eu-west-1:111111111111:secret:exclave-acme-token-a1b2c3" }
  }
}

variables {
  name       = "acme"
  region     = "eu-west-1"
  ims_url    = "https://ims.example.com"
  image      = "111111111111.dkr.ecr.eu-west-1.amazonaws.com/exclave-agent:0.1.0"
  vpc_id     = "vpc-0123456789abcdef0"
  subnet_ids = ["subnet-0123456789abcdef0"]

  # `terraform test` applies no root module whose ephemeral variable isn't set.
  enrollment_token = "exce_0123456789"
}

run "the_minimum_is_enough" {
  command = apply

  assert {
    condition     = length(aws_iam_role.operation) == 0 && output.plan_role_arn == null && output.apply_role_arn == null
    error_message = "Without policies there are no roles for planning and applying."
  }

  assert {
    condition     = !strcontains(output.agent_policy_json, "sts:AssumeRole") && !strcontains(output.agent_policy_json, "secretsmanager")
    error_message = "The agent may assume no role and read no secret."
  }

  assert {
    condition     = alltrue([for statement in jsondecode(output.agent_policy_json).Statement : statement.Resource != "*" || statement.Action == "ecr:GetAuthorizationToken"])
    error_message = "Nothing but the login to the registry is allowed on everything."
  }

  assert {
    condition     = output.state_bucket == "exclave-acme-state-111111111111-eu-west-1" && output.registry_url == "https://111111111111.dkr.ecr.eu-west-1.amazonaws.com/exclave"
    error_message = "Names aren't the documented ones."
  }

  assert {
    condition     = { for each in jsondecode(aws_ecs_task_definition.agent.container_definitions)[0].environment : each.name => each.value }.EXCLAVE_AGENT_STATE == "s3://exclave-acme-state-111111111111-eu-west-1/states?region=eu-west-1"
    error_message = "The agent keeps its state in the bucket."
  }

  assert {
    condition     = jsondecode(aws_ecs_task_definition.agent.container_definitions)[0].readonlyRootFilesystem && jsondecode(aws_ecs_task_definition.agent.container_definitions)[0].user == "10001:10001" && !can(jsondecode(aws_ecs_task_definition.agent.container_definitions)[0].portMappings)
    error_message = "The container is closed."
  }

  assert {
    condition     = aws_ecs_service.agent.deployment_maximum_percent == 100 && aws_ecs_service.agent.deployment_minimum_healthy_percent == 0
    error_message = "There are never two agents."
  }
}

run "the_token_is_written_and_not_kept" {
  command = apply

  variables {
    enrollment_token = "exce_0123456789\n" # as a file has it
  }

  assert {
    condition     = aws_secretsmanager_secret_version.token.secret_string_wo_version == 1 && aws_secretsmanager_secret_version.token.secret_string == null
    error_message = "The token is in no attribute that a state keeps."
  }
}

run "roles_for_planning_and_applying_are_the_agents_alone" {
  command = apply

  variables {
    plan_policy_arns     = ["arn:aws:iam::aws:policy/job-function/ViewOnlyAccess"]
    apply_policy_arns    = ["arn:aws:iam::111111111111:policy/shop-installer", "arn:aws:iam::aws:policy/AmazonRDSFullAccess"]
    permissions_boundary = "arn:aws:iam::111111111111:policy/boundary"
  }

  assert {
    condition     = [for statement in jsondecode(output.agent_policy_json).Statement : statement.Resource if statement.Action == "sts:AssumeRole"] == [["arn:aws:iam::111111111111:role/exclave-acme-apply", "arn:aws:iam::111111111111:role/exclave-acme-plan"]]
    error_message = "The agent may assume both."
  }

  assert {
    condition     = length(aws_iam_role_policy_attachment.operation) == 3 && alltrue([for role in aws_iam_role.operation : role.permissions_boundary == "arn:aws:iam::111111111111:policy/boundary"])
    error_message = "Each has its policies and the boundary."
  }

  assert {
    condition     = alltrue([for role in aws_iam_role.operation : jsondecode(role.assume_role_policy).Statement[0].Principal.AWS == aws_iam_role.agent.arn])
    error_message = "Nobody else may assume them."
  }
}

run "a_key_of_the_accounts_own_is_used_everywhere" {
  command = apply

  variables {
    kms_key_arn = "arn:aws:kms:eu-west-1:111111111111:key/1234abcd"
  }

  assert {
    condition     = alltrue([for key in [aws_efs_file_system.home.kms_key_id, aws_secretsmanager_secret.token.kms_key_id, aws_cloudwatch_log_group.agent.kms_key_id, one(one(aws_s3_bucket_server_side_encryption_configuration.state.rule).apply_server_side_encryption_by_default).kms_master_key_id] : key == var.kms_key_arn])
    error_message = "State, logs, file system and token have the key."
  }

  assert {
    condition     = strcontains(aws_ecs_task_definition.agent.container_definitions, "awskms:arn:aws:kms:eu-west-1:111111111111:key/1234abcd")
    error_message = "The agent seals states with the key."
  }
}

run "an_image_elsewhere_needs_no_registry_of_aws" {
  command = apply

  variables {
    image = "registry.example.com/exclave-agent@sha256:0000"
  }

  assert {
    condition     = !strcontains(aws_iam_role_policy.start.policy, "ecr:")
    error_message = "ECS needs no right to pull from ECR."
  }
}

run "one_secret_is_readable_and_no_other" {
  command = plan

  variables {
    readable_secret_arns = ["arn:aws:secretsmanager:eu-west-1:111111111111:secret:shop/*"]
  }

  assert {
    condition     = strcontains(output.agent_policy_json, "secret:shop/*")
    error_message = "The agent may read it."
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
    name = format("a%020d", 0)
  }

  expect_failures = [var.name]
}

run "a_zone_is_no_region" {
  command = plan

  variables {
    region = "eu-west-1a"
  }

  expect_failures = [var.region]
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

run "a_vpcs_name_is_refused" {
  command = plan

  variables {
    vpc_id = "default"
  }

  expect_failures = [var.vpc_id]
}

run "no_subnet_is_refused" {
  command = plan

  variables {
    subnet_ids = []
  }

  expect_failures = [var.subnet_ids]
}

run "a_subnets_name_is_refused" {
  command = plan

  variables {
    subnet_ids = ["private"]
  }

  expect_failures = [var.subnet_ids]
}

run "no_way_out_is_refused" {
  command = plan

  variables {
    egress = []
  }

  expect_failures = [var.egress]
}

run "a_port_beyond_the_last_is_refused" {
  command = plan

  variables {
    egress = [{ port = 70000, cidr = "10.0.0.0/8" }]
  }

  expect_failures = [var.egress]
}

run "every_repository_is_refused" {
  command = plan

  variables {
    registry_prefix = ""
  }

  expect_failures = [var.registry_prefix]
}

run "a_wildcard_in_the_prefix_is_refused" {
  command = plan

  variables {
    registry_prefix = "exclave*"
  }

  expect_failures = [var.registry_prefix]
}

run "the_agent_is_the_sole_writer_and_may_say_so_on_its_repositories" {
  command = apply

  variables {
    registry_readers = ["arn:aws:iam::111111111111:role/nodes"]
  }

  assert {
    condition     = strcontains(output.agent_policy_json, "ecr:SetRepositoryPolicy")
    error_message = "It sets the policy of each repository that it makes."
  }

  assert {
    condition = jsondecode([for each in jsondecode(aws_ecs_task_definition.agent.container_definitions)[0].environment : each.value if each.name == "EXCLAVE_REGISTRY"][0]) == {
      kind        = "aws_ecr"
      url         = "https://111111111111.dkr.ecr.eu-west-1.amazonaws.com"
      prefix      = "exclave"
      sole_writer = "arn:aws:iam::111111111111:role/exclave-acme-agent"
      readers     = ["arn:aws:iam::111111111111:role/nodes"]
    }
    error_message = "Its own role is the sole writer."
  }
}

run "without_a_sole_writer_it_may_set_no_policy" {
  command = apply

  variables {
    registry_sole_writer = false
  }

  assert {
    condition     = !strcontains(output.agent_policy_json, "ecr:SetRepositoryPolicy") && !strcontains(aws_ecs_task_definition.agent.container_definitions, "sole_writer")
    error_message = "Whoever sets a repository's policy can give it to anybody."
  }
}

run "readers_without_a_sole_writer_are_refused" {
  command = plan

  variables {
    registry_sole_writer = false
    registry_readers     = ["arn:aws:iam::111111111111:role/nodes"]
  }

  expect_failures = [var.registry_sole_writer]
}

run "a_reader_that_is_no_role_and_no_user_is_refused" {
  command = plan

  variables {
    registry_readers = ["arn:aws:iam::111111111111:root"]
  }

  expect_failures = [var.registry_readers]
}

run "a_bucket_with_a_capital_is_refused" {
  command = plan

  variables {
    state_bucket_name = "Acme"
  }

  expect_failures = [var.state_bucket_name]
}

run "a_keys_alias_is_refused" {
  command = plan

  variables {
    kms_key_arn = "alias/state"
  }

  expect_failures = [var.kms_key_arn]
}

run "a_policys_name_is_refused_for_planning" {
  command = plan

  variables {
    plan_policy_arns = ["ViewOnlyAccess"]
  }

  expect_failures = [var.plan_policy_arns]
}

run "an_administrator_who_plans_is_refused" {
  command = plan

  variables {
    plan_policy_arns = ["arn:aws:iam::aws:policy/AdministratorAccess"]
  }

  expect_failures = [var.plan_policy_arns]
}

run "a_policys_name_is_refused_for_applying" {
  command = plan

  variables {
    apply_policy_arns    = ["shop-installer"]
    permissions_boundary = "arn:aws:iam::111111111111:policy/boundary"
  }

  expect_failures = [var.apply_policy_arns]
}

run "applying_without_a_boundary_is_refused" {
  command = plan

  variables {
    apply_policy_arns = ["arn:aws:iam::111111111111:policy/shop-installer"]
  }

  expect_failures = [var.apply_policy_arns]
}

run "a_boundarys_name_is_refused" {
  command = plan

  variables {
    permissions_boundary = "boundary"
  }

  expect_failures = [var.permissions_boundary]
}

run "every_secret_is_refused" {
  command = plan

  variables {
    readable_secret_arns = ["arn:aws:secretsmanager:eu-west-1:111111111111:secret:*"]
  }

  expect_failures = [var.readable_secret_arns]
}

run "a_setting_of_the_modules_own_is_refused" {
  command = plan

  variables {
    environment = { EXCLAVE_URL = "https://elsewhere.example.com" }
  }

  expect_failures = [var.environment]
}

run "half_a_cpu_unit_is_refused" {
  command = plan

  variables {
    cpu = 100
  }

  expect_failures = [var.cpu]
}

run "memory_that_fargate_has_not_is_refused" {
  command = plan

  variables {
    memory = 1000
  }

  expect_failures = [var.memory]
}

run "another_platform_is_refused" {
  command = plan

  variables {
    architecture = "RISCV64"
  }

  expect_failures = [var.architecture]
}

run "a_retention_that_aws_does_not_know_is_refused" {
  command = plan

  variables {
    log_retention_days = 100
  }

  expect_failures = [var.log_retention_days]
}

run "a_tag_of_aws_is_refused" {
  command = plan

  variables {
    tags = { "aws:x" = "y" }
  }

  expect_failures = [var.tags]
}

run "another_way_out_is_refused" {
  command = plan

  variables {
    way_out = "vpn"
  }

  expect_failures = [var.way_out]
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
    condition     = jsondecode(aws_ecs_task_definition.agent.container_definitions)[0].environment[0].value == var.policy && jsondecode(aws_ecs_task_definition.agent.container_definitions)[0].user == "0:0"
    error_message = "Another user writes the rules."
  }

  assert {
    condition     = [for mount in jsondecode(aws_ecs_task_definition.agent.container_definitions)[1].mountPoints : mount.readOnly if mount.sourceVolume == "rules"] == [true] && jsondecode(aws_ecs_task_definition.agent.container_definitions)[1].dependsOn == [{ condition = "SUCCESS", containerName = "rules" }]
    error_message = "The agent reads them, and starts after they are there."
  }
}
