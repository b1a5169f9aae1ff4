output "pulled_as" {
  description = "Who the build agent is when it pulls each image."
  value = {
    web    = module.ecr_access.role_arn
    search = module.gar_access.service_account_email
  }
}
