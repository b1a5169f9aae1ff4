resource "exclave_app" "studio" {
  name        = "studio"
  description = "One component of each kind."

  inputs = {
    domain = { type = "string", description = "The domain that the studio answers to." }
  }
}

# Terraform, run by the install agent in the customer's account.
resource "exclave_terraform_module_component" "database" {
  app_id    = exclave_app.studio.id
  name      = "database"
  variables = { name = provider::exclave::install("name") }

  path {
    path = "${path.module}/modules/database"
  }
}

# An image that is in a registry already. Its bytes go to the customer's registry as they are.
resource "exclave_container_image_component" "cache" {
  app_id = exclave_app.studio.id
  name   = "cache"

  public {
    image_url = "docker.io/library/redis"
    tag       = "8.2.1"
  }
}

# An image from a registry that asks who you are: a role that trusts the build agent, made by modules/ecr-access.
resource "exclave_container_image_component" "renderer" {
  app_id = exclave_app.studio.id
  name   = "renderer"

  aws_ecr {
    image_url    = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/studio/renderer"
    tag          = "2.0.0"
    region       = "eu-west-1"
    iam_role_arn = "arn:aws:iam::123456789012:role/exclave-pull"
  }
}

# An image that the build agent makes.
resource "exclave_docker_build_component" "web_image" {
  app_id    = exclave_app.studio.id
  name      = "web_image"
  platforms = ["linux/amd64"]

  path {
    path = "${path.module}/web"
  }
}

# A chart that runs that image, by its digest in the customer's registry.
resource "exclave_helm_chart_component" "web" {
  app_id    = exclave_app.studio.id
  name      = "web"
  namespace = "studio"

  helm_repo = {
    repo_url = "https://charts.example.com"
    chart    = "web"
    version  = "1.4.2"
  }

  values = {
    "image.repository" = provider::exclave::image("web_image", "repository")
    "image.digest"     = provider::exclave::image("web_image", "digest")
    "database.url"     = provider::exclave::output("database", "url")
    "ingress.host"     = provider::exclave::input("domain")
  }
}

# Manifests as they are.
resource "exclave_kubernetes_manifest_component" "settings" {
  app_id    = exclave_app.studio.id
  name      = "settings"
  namespace = "studio"

  manifest = yamlencode({
    apiVersion = "v1"
    kind       = "ConfigMap"
    metadata   = { name = "settings" }
    data       = { domain = provider::exclave::input("domain") }
  })
}

# A command, where the customer's policy allows it.
resource "exclave_custom_component" "migrate" {
  app_id      = exclave_app.studio.id
  name        = "migrate"
  command     = ["./migrate.sh"]
  environment = { DATABASE_URL = provider::exclave::output("database", "url") }

  path {
    path = "${path.module}/migrate"
  }
}

resource "exclave_install" "gull" {
  app_id = exclave_app.studio.id
  name   = "gull"
  inputs = { domain = "studio.gull.example" }

  # The IMS checks an install against its app as it is then.
  depends_on = [
    exclave_terraform_module_component.database,
    exclave_helm_chart_component.web,
    exclave_kubernetes_manifest_component.settings,
    exclave_custom_component.migrate,
  ]
}

# What the app has, as the IMS tells it: also for a folder that has none of these resources.
data "exclave_components" "all" {
  app_id = exclave_app.studio.id

  depends_on = [exclave_install.gull, exclave_container_image_component.cache, exclave_container_image_component.renderer]
}

output "kinds" {
  description = "The kind of each component."
  value       = { for component in data.exclave_components.all.components : component.name => component.kind }
}
