resource "exclave_container_image_component" "example" {
  app_id = "shop"
  name   = "web_image"

  aws_ecr {
    image_url    = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/shop/web"
    tag          = "1.4.2"
    region       = "eu-west-1"
    iam_role_arn = "arn:aws:iam::123456789012:role/exclave-pull"
  }
}
