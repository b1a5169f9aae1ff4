variable "repository_arns" {
  description = "The repositories that may be pulled. Example: `[\"arn:aws:ecr:eu-west-1:111111111111:repository/shop/web\"]`."
  type        = set(string)
  nullable    = false

  validation {
    condition     = length(var.repository_arns) > 0 && !contains(var.repository_arns, "*")
    error_message = "At least one repository, and never `*`: it would be all that this account may pull."
  }
}

variable "pull_through_cache_arns" {
  description = "The repositories that a pull through the cache may fill and create. Example: `[\"arn:aws:ecr:eu-west-1:111111111111:repository/docker-hub/*\"]`."
  type        = set(string)
  default     = []
  nullable    = false

  validation {
    condition     = !contains(var.pull_through_cache_arns, "*")
    error_message = "Never `*`: repositories could be created under any name."
  }
}

variable "vendor_role_arns" {
  description = "The roles that may assume this one, if they give the external id. Example: `[\"arn:aws:iam::222222222222:role/build-agent\"]`."
  type        = set(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for arn in var.vendor_role_arns : can(regex(":role/[^*?]+$", arn))])
    error_message = "Each one is the ARN of a role, without wildcards."
  }
}

variable "external_id" {
  description = "What the vendor's roles must give as external id. Example: `\"org-7f3c1a\"`."
  type        = string
  default     = null

  validation {
    condition     = length(var.vendor_role_arns) == 0 || (var.external_id == null ? false : length(var.external_id) >= 2)
    error_message = "No role is trusted without an external id."
  }
}

variable "gcp_service_account_ids" {
  description = "The numeric ids of the Google service accounts that may assume the role. Example: `[\"104857600000000000001\"]`."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for id in var.gcp_service_account_ids : can(regex("^[0-9]{21}$", id))])
    error_message = "Each one is a unique id of 21 digits."
  }
}

variable "gcp_token_audience" {
  description = "The audience for which a Google token must have been made. Example: `\"exclave-acme\"`."
  type        = string
  default     = "sts.amazonaws.com"
  nullable    = false

  validation {
    condition     = length(var.gcp_token_audience) > 0
    error_message = "A token's audience is never empty."
  }
}
