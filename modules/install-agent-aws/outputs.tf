output "agent_role_arn" {
  description = "The agent's own role: for the policies of what else it may use."
  value       = aws_iam_role.agent.arn
}

output "plan_role_arn" {
  description = "The role for a product's modules to look around with, or null: give it to the vendor as an input of the install."
  value       = one([for key, role in aws_iam_role.operation : role.arn if key == "plan"])
}

output "apply_role_arn" {
  description = "The role for a product's modules to make, change and destroy with, or null."
  value       = one([for key, role in aws_iam_role.operation : role.arn if key == "apply"])
}

output "registry_url" {
  description = "Where the agent brings artifacts."
  value       = "https://${local.host}/${var.registry_prefix}"
}

output "state_bucket" {
  description = "The bucket with the product's state."
  value       = aws_s3_bucket.state.bucket
}

output "log_group" {
  description = "Where the agent says what it does: `aws logs tail GROUP --follow`."
  value       = aws_cloudwatch_log_group.agent.name
}

output "service" {
  description = "Cluster and service of the agent, for `aws ecs describe-services`."
  value       = { cluster = aws_ecs_cluster.agent.name, service = aws_ecs_service.agent.name }
}

output "agent_policy_json" {
  description = "What the agent may do: for a review before it is applied."
  value       = local.agent_policy
}
