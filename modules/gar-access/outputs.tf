output "service_account_email" {
  description = "The service account that the build agent acts as: `gcp_gar.service_account_email` of a component."
  value       = google_service_account.reader.email

  # Whoever gets the address finds an account that can read already.
  depends_on = [google_artifact_registry_repository_iam_member.reader, google_service_account_iam_member.customer]
}

output "service_account_unique_id" {
  description = "The service account's unique id of 21 digits."
  value       = google_service_account.reader.unique_id
}

output "workload_identity_provider_paths" {
  description = "The provider for each AWS account, by the account's id: `gcp_gar.workload_identity_provider` of a component."
  value       = { for account, provider in google_iam_workload_identity_pool_provider.aws : account => provider.name }
  depends_on  = [google_service_account_iam_member.aws]
}

output "credential_config_json" {
  description = "For each AWS account, by its id, the configuration with which Google's libraries get tokens on an EC2 instance there. No secret is in it."
  value = {
    for account, provider in google_iam_workload_identity_pool_provider.aws : account => jsonencode({
      type                              = "external_account"
      audience                          = "//iam.googleapis.com/${provider.name}"
      subject_token_type                = "urn:ietf:params:aws:token-type:aws4_request"
      token_url                         = "https://sts.googleapis.com/v1/token"
      service_account_impersonation_url = "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/${google_service_account.reader.email}:generateAccessToken"
      credential_source = {
        environment_id                 = "aws1"
        region_url                     = "http://169.254.169.254/latest/meta-data/placement/availability-zone"
        url                            = "http://169.254.169.254/latest/meta-data/iam/security-credentials"
        regional_cred_verification_url = "https://sts.{region}.amazonaws.com?Action=GetCallerIdentity&Version=2011-06-15"
        imdsv2_session_token_url       = "http://169.254.169.254/latest/api/token"
      }
    })
  }
  depends_on = [google_service_account_iam_member.aws]
}

output "repository_urls" {
  description = "The address of each repository, by its id: with an image's name behind it, `gcp_gar.image_url` of a component."
  value       = { for id in var.repository_ids : id => "${var.repository_location}-docker.pkg.dev/${var.project_id}/${id}" }
}
