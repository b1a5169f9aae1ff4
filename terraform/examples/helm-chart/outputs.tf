output "release" {
  description = "The Helm release in the customer's cluster, and its version."
  value       = exclave_deployment.acme.outputs
}
