# Images that only their owner may pull, in two clouds. One apply makes the access and the components that use it.

locals {
  web             = "arn:aws:ecr:eu-west-1:${var.aws_account_id}:repository/shop/web"
  build_agent     = split(":", var.build_agent_role_arn)[4]
  build_agent_own = reverse(split("/", var.build_agent_role_arn))[0] # its name without its path
}

resource "exclave_app" "shop" {
  name        = "private-shop"
  description = "A shop whose images are in registries that ask who you are."
}

# Amazon ECR: a role that the build agent may assume.
module "ecr_access" {
  source = "../../../modules/ecr-access"

  repository_arns  = [local.web]
  vendor_role_arns = [var.build_agent_role_arn]
  external_id      = var.external_id
}

resource "exclave_container_image_component" "web" {
  app_id = exclave_app.shop.id
  name   = "web"

  aws_ecr {
    image_url    = module.ecr_access.repository_urls[local.web]
    tag          = "2.0.0"
    region       = "eu-west-1"
    iam_role_arn = module.ecr_access.role_arn
    external_id  = module.ecr_access.external_id
  }
}

# Google Artifact Registry: a service account that the build agent, on AWS, may act as.
module "gar_access" {
  source = "../../../modules/gar-access"

  project_id          = var.gcp_project_id
  repository_location = "europe-west1"
  repository_ids      = ["shop"]

  aws_principals = [{
    aws_account_id = local.build_agent
    role_names     = [local.build_agent_own]
  }]
}

resource "exclave_container_image_component" "search" {
  app_id = exclave_app.shop.id
  name   = "search"

  gcp_gar {
    image_url                  = "${module.gar_access.repository_urls["shop"]}/search"
    tag                        = "1.4.0"
    gcp_project_id             = var.gcp_project_id
    region                     = "europe-west1"
    service_account_email      = module.gar_access.service_account_email
    workload_identity_provider = module.gar_access.workload_identity_provider_paths[local.build_agent]
  }
}
