output "agent_email" {
  description = "The agent's own service account: for the roles of what else it may use."
  value       = google_service_account.agent.email
}

output "plan_email" {
  description = "The service account for a product's modules to look around with, or null: give it to the vendor as an input of the install."
  value       = one([for key, account in google_service_account.operation : account.email if key == "plan"])
}

output "apply_email" {
  description = "The service account for a product's modules to make, change and destroy with, or null."
  value       = one([for key, account in google_service_account.operation : account.email if key == "apply"])
}

output "registry_url" {
  description = "Where the agent brings artifacts."
  value       = "https://${local.registry}/${var.project_id}/${local.prefix}"
}

output "state_bucket" {
  description = "The bucket with the product's state."
  value       = google_storage_bucket.state.name
}

output "machine" {
  description = "The machine that the agent runs on, for `gcloud compute instances describe` and its log."
  value       = { name = google_compute_instance.agent.name, zone = var.zone }
}

output "cloud_init" {
  description = "All that the machine does: for a review before it is applied."
  value       = local.machine
}
