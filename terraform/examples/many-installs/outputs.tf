output "urls" {
  description = "Where each customer's portal answers."
  value       = { for name, deployment in exclave_deployment.customer : name => deployment.outputs["site.url"] }
}

output "in_europe" {
  description = "The installs in Europe."
  value       = sort([for install in data.exclave_installs.in_europe.installs : install.name])
}
