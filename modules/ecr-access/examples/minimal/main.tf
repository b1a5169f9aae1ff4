# The vendor's build agent may pull one repository.

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

  repository_arns  = ["arn:aws:ecr:eu-west-1:111111111111:repository/shop/web"]
  vendor_role_arns = ["arn:aws:iam::222222222222:role/exclave-build-agent"]
  external_id      = "org-7f3c1a"
}

output "role_arn" {
  description = "For the component's aws_ecr.iam_role_arn."
  value       = module.ecr_access.role_arn
}
