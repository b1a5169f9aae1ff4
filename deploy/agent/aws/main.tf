# The install agent in this AWS account. What it makes is in the folder `agent`, which is Exclave's module install-agent-aws, to be read
# before it runs. What is known of the install is in install.auto.tfvars.json; Terraform asks for the rest, or takes it from
# terraform.tfvars. Keep the state that Terraform writes here, or give it a backend: the token isn't in it.

terraform {
  required_version = ">= 1.11"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.99"
    }
  }
}

variable "name" {
  description = "The install, as the vendor calls it."
  type        = string
}

variable "ims_url" {
  description = "The address of the vendor's IMS."
  type        = string
}

variable "image" {
  description = "The agent's image."
  type        = string
}

variable "environment" {
  description = "More of the agent's settings, such as HTTPS_PROXY."
  type        = map(string)
  default     = {}
}

variable "region" {
  description = "The region to run in, such as eu-west-1."
  type        = string
}

variable "vpc_id" {
  description = "The VPC to run in, such as vpc-0123456789abcdef0."
  type        = string
}

variable "subnet_ids" {
  description = "Private subnets with a way out, such as [\"subnet-0123456789abcdef0\"]."
  type        = set(string)
}

variable "plan_policy_arns" {
  description = "What the product's modules may look at: managed policies."
  type        = set(string)
  default     = []
}

variable "apply_policy_arns" {
  description = "What the product's modules may make, change and destroy: managed policies."
  type        = set(string)
  default     = []
}

variable "permissions_boundary" {
  description = "A policy that bounds every role. Needed with apply_policy_arns."
  type        = string
  default     = null
}

provider "aws" {
  region = var.region
}

module "agent" {
  source = "./agent"

  name                 = var.name
  region               = var.region
  ims_url              = var.ims_url
  image                = var.image
  environment          = var.environment
  policy               = try(file("${path.module}/policy.yaml"), null)
  vpc_id               = var.vpc_id
  subnet_ids           = var.subnet_ids
  plan_policy_arns     = var.plan_policy_arns
  apply_policy_arns    = var.apply_policy_arns
  permissions_boundary = var.permissions_boundary

  # Into Secrets Manager, and into no plan and no state. The file can go once the agent has enrolled.
  enrollment_token = try(file("${path.module}/token"), null)
}

output "log" {
  description = "How to see what the agent does."
  value       = "aws logs tail ${module.agent.log_group} --region ${var.region} --follow"
}

output "plan_role_arn" {
  description = "For the vendor: the role for the product's modules to look around with."
  value       = module.agent.plan_role_arn
}

output "apply_role_arn" {
  description = "For the vendor: the role for the product's modules to make, change and destroy with."
  value       = module.agent.apply_role_arn
}
