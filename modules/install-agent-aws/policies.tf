# All that the agent may do in this account. Three roles of its own, beside the one with which ECS starts it:
# the agent's, and those for planning and applying, which only the agent may assume.

locals {
  uses_kms = var.kms_key_arn == null ? [] : [{
    Sid      = "OwnKey"
    Effect   = "Allow"
    Action   = ["kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey"]
    Resource = var.kms_key_arn
  }]

  # ECS alone may start something with these roles, and only for this account: against a confused deputy.
  trust_ecs = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "ecs-tasks.amazonaws.com" }
      Condition = {
        StringEquals = { "aws:SourceAccount" = local.account }
        ArnLike      = { "aws:SourceArn" = "${local.arn}:ecs:${var.region}:${local.account}:*" }
      }
    }]
  })

  agent_policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [
        {
          Sid      = "RegistryLogIn"
          Effect   = "Allow"
          Action   = "ecr:GetAuthorizationToken"
          Resource = "*" # it knows no resources; what the token is good for is the next statement's
        },
        {
          Sid    = "Registry"
          Effect = "Allow"
          Action = concat(
            [
              "ecr:BatchCheckLayerAvailability",
              "ecr:BatchGetImage",
              "ecr:CompleteLayerUpload",
              "ecr:CreateRepository",
              "ecr:GetDownloadUrlForLayer",
              "ecr:InitiateLayerUpload",
              "ecr:PutImage",
              "ecr:TagResource",
              "ecr:UploadLayerPart",
            ],
            var.registry_sole_writer ? ["ecr:SetRepositoryPolicy"] : [],
          )
          Resource = local.repository_arns
        },
        {
          Sid      = "FindState"
          Effect   = "Allow"
          Action   = "s3:ListBucket"
          Resource = local.bucket_arn
        },
        {
          # No DeleteObjectVersion: what was overwritten stays until the bucket's own rule ends it.
          Sid      = "State"
          Effect   = "Allow"
          Action   = ["s3:DeleteObject", "s3:GetObject", "s3:PutObject"]
          Resource = "${local.bucket_arn}/*"
        },
      ],
      local.uses_kms,
      [for arns in [[for operation in sort(keys(local.operations)) : local.role_arns[operation]]] : {
        Sid      = "ActForTheProduct"
        Effect   = "Allow"
        Action   = "sts:AssumeRole"
        Resource = arns
      } if length(arns) > 0],
      length(var.readable_secret_arns) == 0 ? [] : [{
        Sid      = "Secrets"
        Effect   = "Allow"
        Action   = "secretsmanager:GetSecretValue"
        Resource = sort(var.readable_secret_arns)
      }],
    )
  })

  # What ECS needs to start the task: the image, the token, and a place for the log.
  start_policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [for statement in [
        { Sid = "RegistryLogIn", Effect = "Allow", Action = "ecr:GetAuthorizationToken", Resource = "*" },
        {
          Sid      = "Image"
          Effect   = "Allow"
          Action   = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
          Resource = local.image_ecr_arns
        },
      ] : statement if length(local.image_ecr_arns) > 0],
      [
        { Sid = "Token", Effect = "Allow", Action = "secretsmanager:GetSecretValue", Resource = aws_secretsmanager_secret.token.arn },
        { Sid = "Log", Effect = "Allow", Action = ["logs:CreateLogStream", "logs:PutLogEvents"], Resource = "${local.log_group_arn}:*" },
      ],
      [for statement in local.uses_kms : merge(statement, { Action = ["kms:Decrypt"] })],
    )
  })

  operations = { for operation, arns in { plan = var.plan_policy_arns, apply = var.apply_policy_arns } : operation => arns if length(arns) > 0 }
  attached   = merge([for operation, arns in local.operations : { for arn in arns : "${operation} ${arn}" => { operation = operation, arn = arn } }]...)
}

resource "aws_iam_role" "agent" {
  name                 = "${local.prefix}-agent"
  description          = "The Exclave install agent of ${var.name}: its registry, its state, and the roles for planning and applying."
  assume_role_policy   = local.trust_ecs
  permissions_boundary = var.permissions_boundary
  tags                 = local.tags
}

resource "aws_iam_role_policy" "agent" {
  name   = "agent"
  role   = aws_iam_role.agent.name
  policy = local.agent_policy
}

resource "aws_iam_role" "start" {
  name                 = "${local.prefix}-start"
  description          = "With this, ECS starts the Exclave install agent of ${var.name}. The agent itself never has it."
  assume_role_policy   = local.trust_ecs
  permissions_boundary = var.permissions_boundary
  tags                 = local.tags
}

resource "aws_iam_role_policy" "start" {
  name   = "start"
  role   = aws_iam_role.start.name
  policy = local.start_policy
}

resource "aws_iam_role" "operation" {
  for_each = local.operations

  name        = "${local.prefix}-${each.key}"
  description = "What a product's modules may do in this account when they ${each.key}. Only the agent of ${var.name} may assume it."
  assume_role_policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Effect = "Allow", Action = "sts:AssumeRole", Principal = { AWS = aws_iam_role.agent.arn } }]
  })
  permissions_boundary = var.permissions_boundary
  tags                 = local.tags
}

resource "aws_iam_role_policy_attachment" "operation" {
  for_each = local.attached

  role       = aws_iam_role.operation[each.value.operation].name
  policy_arn = each.value.arn
}
