resource "exclave_docker_build_component" "example" {
  app_id     = "shop"
  name       = "web_image"
  dockerfile = "Dockerfile"
  platforms  = ["linux/amd64", "linux/arm64"]

  git {
    url          = "https://git.example.com/shop.git"
    ref          = "v1.4.2"
    subdirectory = "web"
  }
}
