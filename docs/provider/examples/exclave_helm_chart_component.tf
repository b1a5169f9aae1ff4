resource "exclave_helm_chart_component" "example" {
  app_id    = "shop"
  name      = "web"
  namespace = "shop"

  helm_repo = {
    repo_url = "https://charts.example.com"
    chart    = "web"
    version  = "1.4.2"
  }

  values = {
    "image.repository" = "{{ components.web_image.image.repository }}"
    "image.digest"     = "{{ components.web_image.image.digest }}"
    "ingress.host"     = "{{ inputs.domain }}"
  }
}
