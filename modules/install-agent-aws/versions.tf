terraform {
  # 1.11: the token is an ephemeral value in a write-only argument, and so in no plan and no state.
  required_version = ">= 1.11"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.99"
    }
  }
}
