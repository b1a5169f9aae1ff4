# Every input: through a proxy, with a key of the account's own and roles for planning and applying.

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

  name    = "acme"
  region  = "eu-west-1"
  ims_url = "https://ims.example.com"
  image   = "111111111111.dkr.ecr.eu-west-1.amazonaws.com/exclave-agent:0.1.0"

  enrollment_token  = try(file("${path.module}/token"), null)
  enrollment_number = 1

  vpc_id     = "vpc-0123456789abcdef0"
  subnet_ids = ["subnet-0123456789abcdef0", "subnet-0123456789abcdef1"]
  way_out    = "nat"
  egress     = [{ port = 3128, cidr = "10.0.0.10/32" }, { port = 443, cidr = "10.0.0.0/8" }]

  registry_prefix      = "exclave"
  registry_sole_writer = true
  registry_readers     = ["arn:aws:iam::111111111111:role/nodes"]
  state_bucket_name    = "acme-exclave-state"
  kms_key_arn          = "arn:aws:kms:eu-west-1:111111111111:key/1234abcd-12ab-34cd-56ef-1234567890ab"
  plan_policy_arns     = ["arn:aws:iam::aws:policy/job-function/ViewOnlyAccess"]
  apply_policy_arns    = ["arn:aws:iam::111111111111:policy/shop-installer"]
  permissions_boundary = "arn:aws:iam::111111111111:policy/boundary"
  readable_secret_arns = ["arn:aws:secretsmanager:eu-west-1:111111111111:secret:shop/database-a1b2c3"]

  policy             = "version: 1\nmode: read_only\n"
  environment        = { HTTPS_PROXY = "http://10.0.0.10:3128", EXCLAVE_APPROVAL = "customer" }
  cpu                = 2048
  memory             = 4096
  architecture       = "ARM64"
  log_retention_days = 90
  tags               = { team = "platform" }
}

output "apply_role_arn" {
  description = "For the input of the install with which the product's modules set `assume_role`."
  value       = module.agent.apply_role_arn
}
