# Every input: roles of the vendor's on AWS, a build agent on Google Cloud, and a pull-through cache.

terraform {
  required_version = ">= 1.9"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.31"
    }
  }
}

provider "aws" {
  region = "eu-west-1"
}

module "ecr_access" {
  source = "../.."

  repository_arns = [
    "arn:aws:ecr:eu-west-1:111111111111:repository/shop/*",
    "arn:aws:ecr:us-east-1:111111111111:repository/worker",
  ]
  pull_through_cache_arns = ["arn:aws:ecr:eu-west-1:111111111111:repository/docker-hub/*"]

  vendor_role_arns = [
    "arn:aws:iam::222222222222:role/agents/exclave-build-agent",
    "arn:aws:iam::222222222222:role/exclave-support", # the vendor's support staff
  ]
  external_id = "org-7f3c1a"

  gcp_principals = [{
    service_account_unique_id = "104857600000000000001"
    service_account_email     = "build-agent@acme-platform.iam.gserviceaccount.com" # for the reader
  }]
  gcp_token_audience = "exclave-org-7f3c1a"

  role_name            = "exclave-images"
  path                 = "/exclave/"
  permissions_boundary = "arn:aws:iam::111111111111:policy/boundary"
  max_session_duration = 7200
  tags                 = { team = "platform" }
}

output "aws_ecr" {
  description = "What the blocks aws_ecr of the vendor's components need."
  value = {
    iam_role_arn = module.ecr_access.role_arn
    external_id  = module.ecr_access.external_id
    images       = module.ecr_access.repository_urls
  }
}

output "policies" {
  description = "For a review."
  value = {
    trust = jsondecode(module.ecr_access.trust_policy_json)
    pull  = jsondecode(module.ecr_access.pull_policy_json)
  }
}
