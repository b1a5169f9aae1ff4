output "release" {
  description = "The number of the release that the customers run."
  value       = exclave_release.current.number
}

output "deployments" {
  description = "What each customer's install gives out. Sensitive outputs stay in the customer's account."
  value       = { for name, deployment in exclave_deployment.customer : name => deployment.outputs }
}
