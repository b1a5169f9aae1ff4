# Who and where. What the agent may do is in policies.tf, what it keeps in storage.tf, and how it runs in agent.tf.

data "aws_caller_identity" "current" {}

locals {
  prefix    = "exclave-${var.name}"
  account   = data.aws_caller_identity.current.account_id
  partition = startswith(var.region, "cn-") ? "aws-cn" : startswith(var.region, "us-gov-") ? "aws-us-gov" : "aws"
  domain    = local.partition == "aws-cn" ? "amazonaws.com.cn" : "amazonaws.com"
  host      = "${local.account}.dkr.ecr.${var.region}.${local.domain}"

  # The ARNs that policies name are composed, so that a plan shows each policy whole.
  arn             = "arn:${local.partition}"
  bucket          = coalesce(var.state_bucket_name, "${replace(local.prefix, "_", "-")}-state-${local.account}-${var.region}")
  bucket_arn      = "${local.arn}:s3:::${local.bucket}"
  repository_arns = "${local.arn}:ecr:${var.region}:${local.account}:repository/${var.registry_prefix}/*"
  role_arns       = { for operation in ["plan", "apply"] : operation => "${local.arn}:iam::${local.account}:role/${local.prefix}-${operation}" }
  agent_arn       = "${local.arn}:iam::${local.account}:role/${local.prefix}-agent"
  log_group       = "/exclave/${var.name}"
  log_group_arn   = "${local.arn}:logs:${var.region}:${local.account}:log-group:${local.log_group}"

  # The file of `--registry-credentials`. The agent makes the policy of each repository from it.
  registry = merge(
    { kind = "aws_ecr", url = "https://${local.host}", prefix = var.registry_prefix },
    { for name, arn in { sole_writer = local.agent_arn } : name => arn if var.registry_sole_writer },
    { for name, arns in { readers = sort(var.registry_readers) } : name => arns if length(arns) > 0 },
  )

  # The repository of the agent's own image, if it is in an ECR: account, region and name.
  image_in_ecr   = try(regex("^([0-9]{12})\\.dkr\\.ecr\\.([a-z0-9-]+)\\.amazonaws\\.com(?:\\.cn)?/([^:@]+)", var.image), null)
  image_ecr_arns = local.image_in_ecr == null ? [] : ["${local.arn}:ecr:${local.image_in_ecr[1]}:${local.image_in_ecr[0]}:repository/${local.image_in_ecr[2]}"]

  tags = merge(var.tags, { managed-by = "exclave", "exclave:install" = var.name })
}
