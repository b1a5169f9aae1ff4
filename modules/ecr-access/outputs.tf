locals {
  repositories = setunion(var.repository_arns, var.pull_through_cache_arns)
  domain       = local.partition == "aws-cn" ? "amazonaws.com.cn" : "amazonaws.com"
  registries   = { for region in toset([for arn in local.repositories : split(":", arn)[3]]) : region => "${local.account}.dkr.ecr.${region}.${local.domain}" }
}

output "role_arn" {
  description = "The role that the build agent assumes: `aws_ecr.iam_role_arn` of a component."
  value       = aws_iam_role.this.arn

  # Whoever gets the ARN finds a role that can pull already.
  depends_on = [aws_iam_role_policy.pull]
}

output "iam_role_arn" {
  description = "The same as `role_arn`, under the name that other modules of this kind give it."
  value       = aws_iam_role.this.arn
  depends_on  = [aws_iam_role_policy.pull]
}

output "role_name" {
  description = "The role's name."
  value       = aws_iam_role.this.name
}

output "external_id" {
  description = "The external id as it was given: `aws_ecr.external_id` of a component."
  value       = var.external_id
}

output "registry_urls" {
  description = "The host of the registry in each region, by region."
  value       = local.registries
}

output "repository_urls" {
  description = "The address of each repository that is named whole, by its ARN: `aws_ecr.image_url` of a component."
  value       = { for arn in local.repositories : arn => "${local.registries[split(":", arn)[3]]}/${split(":repository/", arn)[1]}" if !endswith(arn, "*") }
}

output "trust_policy_json" {
  description = "Who may assume the role: for a review before it is applied."
  value       = module.policy.trust_policy_json
}

output "pull_policy_json" {
  description = "What the role may do: for a review before it is applied."
  value       = module.policy.pull_policy_json
}
