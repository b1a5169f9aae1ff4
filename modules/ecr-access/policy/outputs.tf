output "trust_policy_json" {
  description = "Who may assume the role, and under which conditions."
  value       = jsonencode({ Version = "2012-10-17", Statement = concat(local.trusted_vendors, local.trusted_google) })
}

output "pull_policy_json" {
  description = "What the role may do."
  value       = jsonencode({ Version = "2012-10-17", Statement = concat(local.pull, local.pull_through_cache) })
}
