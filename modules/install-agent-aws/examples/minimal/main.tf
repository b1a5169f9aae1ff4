# The agent in an account's private subnets. The token is in the file `token`, which the vendor gave.

terraform {
  required_version = ">= 1.11"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.99"
    }
  }
}

provider "aws" {
  region = "eu-west-1"
}

module "agent" {
  source = "../.."

  name             = "acme"
  region           = "eu-west-1"
  ims_url          = "https://ims.example.com"
  image            = "111111111111.dkr.ecr.eu-west-1.amazonaws.com/exclave-agent:0.1.0"
  enrollment_token = try(file("${path.module}/token"), null)
  vpc_id           = "vpc-0123456789abcdef0"
  subnet_ids       = ["subnet-0123456789abcdef0"]
}

output "log_group" {
  description = "Where the agent says what it does."
  value       = module.agent.log_group
}
