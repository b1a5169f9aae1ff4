resource "exclave_kubernetes_manifest_component" "example" {
  app_id    = "shop"
  name      = "settings"
  namespace = "shop"

  manifest = <<-EOT
    apiVersion: v1
    kind: ConfigMap
    metadata:
      name: settings
    data:
      domain: "{{ inputs.domain }}"
  EOT
}
