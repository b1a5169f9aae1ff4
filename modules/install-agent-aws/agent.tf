# How the agent runs: one task on Fargate, which nothing can call.

locals {
  log_configuration = {
    logDriver = "awslogs"
    options   = { "awslogs-group" = local.log_group, "awslogs-region" = var.region, "awslogs-stream-prefix" = "agent" }
  }

  rules_container = [for policy in var.policy == null ? [] : [var.policy] : {
    name                   = "rules"
    image                  = var.image
    essential              = false
    user                   = "0:0" # to whom a fresh volume belongs; it has no capabilities, and ends at once
    readonlyRootFilesystem = true
    linuxParameters        = { capabilities = { drop = ["ALL"] } }
    entryPoint             = ["/bin/sh", "-c"]
    command                = ["printf '%s' \"$POLICY\" > /etc/exclave/policy.yaml"]
    environment            = [{ name = "POLICY", value = policy }]
    mountPoints            = [{ sourceVolume = "rules", containerPath = "/etc/exclave", readOnly = false }]
    logConfiguration       = local.log_configuration
  }]
}

resource "aws_security_group" "agent" {
  name        = "${local.prefix}-agent"
  description = "The Exclave install agent of ${var.name}: no inbound port."
  vpc_id      = var.vpc_id
  tags        = merge(local.tags, { Name = "${local.prefix}-agent" })
}

resource "aws_vpc_security_group_egress_rule" "agent" {
  for_each = { for rule in var.egress : "${rule.cidr} ${rule.port}" => rule }

  security_group_id = aws_security_group.agent.id
  description       = "IMS, registry and the APIs of clouds"
  ip_protocol       = "tcp"
  from_port         = each.value.port
  to_port           = each.value.port
  cidr_ipv4         = each.value.cidr
  tags              = local.tags
}

resource "aws_vpc_security_group_egress_rule" "home" {
  security_group_id            = aws_security_group.agent.id
  description                  = "The agent's file system"
  ip_protocol                  = "tcp"
  from_port                    = 2049
  to_port                      = 2049
  referenced_security_group_id = aws_security_group.home.id
  tags                         = local.tags
}

resource "aws_security_group" "home" {
  name        = "${local.prefix}-home"
  description = "The file system of the Exclave install agent of ${var.name}: for the agent alone."
  vpc_id      = var.vpc_id
  tags        = merge(local.tags, { Name = "${local.prefix}-home" })
}

resource "aws_vpc_security_group_ingress_rule" "home" {
  security_group_id            = aws_security_group.home.id
  description                  = "The agent"
  ip_protocol                  = "tcp"
  from_port                    = 2049
  to_port                      = 2049
  referenced_security_group_id = aws_security_group.agent.id
  tags                         = local.tags
}

resource "aws_cloudwatch_log_group" "agent" {
  #checkov:skip=CKV_AWS_158:A key of the account's own is var.kms_key_arn; secrets are masked before anything is logged.
  #checkov:skip=CKV_AWS_338:var.log_retention_days is a year unless it is set.
  name              = local.log_group
  retention_in_days = var.log_retention_days
  kms_key_id        = var.kms_key_arn
  tags              = local.tags
}

resource "aws_ecs_cluster" "agent" {
  name = local.prefix
  tags = local.tags

  setting {
    name  = "containerInsights"
    value = "enabled"
  }
}

resource "aws_ecs_task_definition" "agent" {
  family                   = local.prefix
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = var.cpu
  memory                   = var.memory
  task_role_arn            = aws_iam_role.agent.arn
  execution_role_arn       = aws_iam_role.start.arn
  tags                     = local.tags

  runtime_platform {
    operating_system_family = "LINUX"
    cpu_architecture        = var.architecture
  }

  volume {
    name = "state"

    efs_volume_configuration {
      file_system_id     = aws_efs_file_system.home.id
      transit_encryption = "ENABLED"

      authorization_config {
        access_point_id = aws_efs_access_point.home.id
        iam             = "ENABLED"
      }
    }
  }

  # Fargate's own disk, for the customer's rules: written before the agent starts, by another user, and read-only for the agent.
  dynamic "volume" {
    for_each = var.policy == null ? [] : ["rules"]

    content {
      name = volume.value
    }
  }

  container_definitions = jsonencode(concat(local.rules_container, [{
    name                   = "agent"
    image                  = var.image
    essential              = true
    user                   = "10001:10001"
    readonlyRootFilesystem = true
    stopTimeout            = 120
    linuxParameters        = { initProcessEnabled = true, capabilities = { drop = ["ALL"] } }
    dependsOn              = [for each in local.rules_container : { containerName = each.name, condition = "SUCCESS" }]
    mountPoints = concat(
      [{ sourceVolume = "state", containerPath = "/var/lib/exclave-agent", readOnly = false }],
      [for each in local.rules_container : { sourceVolume = "rules", containerPath = "/etc/exclave", readOnly = true }],
    )
    environment = [for name, value in merge(
      {
        EXCLAVE_URL         = var.ims_url
        EXCLAVE_AGENT_NAME  = var.name
        EXCLAVE_REGISTRY    = jsonencode(local.registry)
        EXCLAVE_AGENT_STATE = "s3://${local.bucket}/states?region=${var.region}"
        AWS_REGION          = var.region
      },
      var.kms_key_arn == null ? {} : { EXCLAVE_AGENT_STATE_KEY = "awskms:${var.kms_key_arn}" },
      var.environment,
    ) : { name = name, value = value }]
    # In no plan and no state, and on no process list. `start-agent` forgets it once the agent has enrolled.
    secrets          = [{ name = "EXCLAVE_AGENT_TOKEN", valueFrom = aws_secretsmanager_secret.token.arn }]
    logConfiguration = local.log_configuration
  }]))
}

resource "aws_ecs_service" "agent" {
  name            = "agent"
  cluster         = aws_ecs_cluster.agent.id
  task_definition = aws_ecs_task_definition.agent.arn
  launch_type     = "FARGATE"
  propagate_tags  = "SERVICE"
  tags            = local.tags

  # One agent for one install: a second copy would be refused, so the old one goes before the new one comes.
  desired_count                      = 1
  deployment_maximum_percent         = 100
  deployment_minimum_healthy_percent = 0

  network_configuration {
    subnets          = var.subnet_ids
    security_groups  = [aws_security_group.agent.id]
    assign_public_ip = var.way_out == "internet_gateway"
  }

  # The task can't start without any of these.
  depends_on = [
    aws_cloudwatch_log_group.agent,
    aws_efs_mount_target.home,
    aws_iam_role_policy.start,
    aws_secretsmanager_secret_version.token,
  ]
}
