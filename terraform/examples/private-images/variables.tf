variable "aws_account_id" {
  description = "The AWS account that has the ECR repositories. Example: `\"111111111111\"`."
  type        = string

  validation {
    condition     = can(regex("^[0-9]{12}$", var.aws_account_id))
    error_message = "12 digits, in quotes."
  }
}

variable "gcp_project_id" {
  description = "The Google Cloud project that has the Artifact Registry repositories. Example: `\"acme-images\"`."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.gcp_project_id))
    error_message = "The project's id: 6 to 30 lower-case letters, digits and hyphens."
  }
}

variable "build_agent_role_arn" {
  description = "The AWS role that the build agent runs with. Example: `\"arn:aws:iam::222222222222:role/exclave-build-agent\"`."
  type        = string

  validation {
    condition     = can(regex("^arn:aws:iam::[0-9]{12}:role/[^*]+$", var.build_agent_role_arn))
    error_message = "The ARN of one role."
  }
}

variable "external_id" {
  description = "What the build agent gives as external id when it assumes the role that pulls. Example: `\"org-7f3c1a\"`."
  type        = string

  validation {
    condition     = length(var.external_id) >= 2
    error_message = "At least 2 characters."
  }
}
