variable "repository_arns" {
  description = "The ECR repositories that may be pulled, all in the account that this module is applied in. A `*` at the end stands for the rest of the name. Example: `[\"arn:aws:ecr:eu-west-1:111111111111:repository/shop/*\"]`."
  type        = set(string)
  nullable    = false

  validation {
    condition     = length(var.repository_arns) > 0
    error_message = "At least one repository: a role that may pull nothing is of no use."
  }

  validation {
    condition     = alltrue([for arn in var.repository_arns : can(regex("^arn:(aws|aws-cn|aws-us-gov):ecr:[a-z0-9-]+:[0-9]{12}:repository/[a-z0-9][a-z0-9._/-]*[*]?$", arn))])
    error_message = "Each one is the ARN of an ECR repository, such as arn:aws:ecr:eu-west-1:111111111111:repository/shop/web. A `*` may stand at the very end, after at least one character of the name; `*` alone, or any other wildcard, would grant repositories that nobody named."
  }

  validation {
    condition     = length(distinct([for arn in var.repository_arns : try(join(":", [split(":", arn)[1], split(":", arn)[4]]), "")])) <= 1
    error_message = "All repositories are in one account (and one partition): a role reads those of another account only if their own policies allow it. Use this module once in each account."
  }
}

variable "vendor_role_arns" {
  description = "The IAM roles, of the vendor's build agent for example, that may assume the role if they give `external_id`. Example: `[\"arn:aws:iam::222222222222:role/exclave-build-agent\"]`."
  type        = set(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for arn in var.vendor_role_arns : can(regex("^arn:(aws|aws-cn|aws-us-gov):iam::[0-9]{12}:role/([0-9A-Za-z_+=,.@-]+/)*[0-9A-Za-z_+=,.@-]{1,64}$", arn))])
    error_message = "Each one is the ARN of an IAM role with its path, such as arn:aws:iam::222222222222:role/exclave-build-agent. A whole account (…:root), a user, a session (arn:aws:sts:…) and wildcards are refused."
  }

  validation {
    condition     = length(distinct([for arn in concat(tolist(var.vendor_role_arns), tolist(var.repository_arns)) : try(split(":", arn)[1], "")])) <= 1
    error_message = "The roles are in the partition of the repositories (aws, aws-cn or aws-us-gov): no trust reaches from one partition into another."
  }
}

variable "external_id" {
  description = "The id that the vendor has chosen for this customer and gives whenever it assumes the role. Needed with `vendor_role_arns`. Not a secret. Example: `\"org-7f3c1a\"`."
  type        = string
  default     = null

  validation {
    condition     = length(var.vendor_role_arns) == 0 || var.external_id != null
    error_message = "Needed with vendor_role_arns: without it, whoever can make the vendor's role act could point it at this account (a confused deputy). Ask the vendor for the id that it uses for you."
  }

  validation {
    # No `{2,1224}`: Terraform's regular expressions repeat at most 1000 times.
    condition     = var.external_id == null ? true : can(regex("^[0-9A-Za-z_+=,.@:/-]+$", var.external_id)) && length(var.external_id) >= 2 && length(var.external_id) <= 1224
    error_message = "2 to 1224 letters, digits and _+=,.@:/-."
  }
}

variable "gcp_principals" {
  description = "The Google service accounts that may assume the role with a token of their own. The unique id counts; the e-mail address is for the reader. Example: `[{ service_account_unique_id = \"104857600000000000001\", service_account_email = \"build-agent@acme.iam.gserviceaccount.com\" }]`."
  type = list(object({
    service_account_unique_id = string
    service_account_email     = optional(string)
  }))
  default  = []
  nullable = false

  validation {
    condition     = alltrue([for principal in var.gcp_principals : can(regex("^[0-9]{21}$", principal.service_account_unique_id))])
    error_message = "service_account_unique_id is the 21 digits that Google calls the unique id, and never the e-mail address: an address can be given to another account later, and no token could match it. `gcloud iam service-accounts describe EMAIL --format='value(uniqueId)'` shows it."
  }

  validation {
    condition     = length(distinct(var.gcp_principals[*].service_account_unique_id)) == length(var.gcp_principals)
    error_message = "Each service account stands in the list once."
  }
}

variable "gcp_token_audience" {
  description = "The audience for which Google tokens must have been made. Best is one that nobody else uses, such as one for each customer. Example: `\"exclave-acme\"`."
  type        = string
  default     = "sts.amazonaws.com"
  nullable    = false

  validation {
    condition     = length(var.gcp_token_audience) >= 1 && length(var.gcp_token_audience) <= 255 && !can(regex("[*?\\s]", var.gcp_token_audience))
    error_message = "1 to 255 characters, without wildcards and spaces: the audience is compared as it is."
  }
}

variable "pull_through_cache_arns" {
  description = "The repositories of a pull-through cache that may be pulled, and that a first pull may create and fill. Example: `[\"arn:aws:ecr:eu-west-1:111111111111:repository/docker-hub/*\"]`."
  type        = set(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for arn in var.pull_through_cache_arns : can(regex("^arn:(aws|aws-cn|aws-us-gov):ecr:[a-z0-9-]+:[0-9]{12}:repository/[a-z0-9][a-z0-9._/-]*[*]?$", arn))])
    error_message = "Each one is the ARN of an ECR repository, such as arn:aws:ecr:eu-west-1:111111111111:repository/docker-hub/*. A `*` may stand at the very end, after at least one character of the name."
  }

  validation {
    condition     = length(distinct([for arn in concat(tolist(var.pull_through_cache_arns), tolist(var.repository_arns)) : try(join(":", [split(":", arn)[1], split(":", arn)[4]]), "")])) <= 1
    error_message = "The cache is in the account of the other repositories."
  }
}

variable "role_name" {
  description = "The name of the role. Example: `\"exclave-ecr-access\"`."
  type        = string
  default     = "exclave-ecr-access"
  nullable    = false

  validation {
    condition     = can(regex("^[0-9A-Za-z_+=,.@-]{1,64}$", var.role_name))
    error_message = "1 to 64 letters, digits and _+=,.@-."
  }
}

variable "path" {
  description = "The path of the role. Example: `\"/exclave/\"`."
  type        = string
  default     = "/"
  nullable    = false

  validation {
    condition     = can(regex("^/([0-9A-Za-z_+=,.@-]+/)*$", var.path)) && length(var.path) <= 512
    error_message = "Begins and ends with a slash, with letters, digits and _+=,.@- between slashes; at most 512 characters."
  }
}

variable "permissions_boundary" {
  description = "The ARN of a policy that bounds what the role may do, where your account asks for one. Example: `\"arn:aws:iam::111111111111:policy/boundary\"`."
  type        = string
  default     = null

  validation {
    condition     = var.permissions_boundary == null ? true : can(regex("^arn:(aws|aws-cn|aws-us-gov):iam::([0-9]{12}|aws):policy/.+$", var.permissions_boundary))
    error_message = "The ARN of a managed policy, such as arn:aws:iam::111111111111:policy/boundary."
  }
}

variable "max_session_duration" {
  description = "The longest session, in seconds. Roles that assume this one get an hour at most whatever is set here; only Google service accounts can get more. Example: `3600`."
  type        = number
  default     = 3600
  nullable    = false

  validation {
    condition     = var.max_session_duration >= 3600 && var.max_session_duration <= 43200 && floor(var.max_session_duration) == var.max_session_duration
    error_message = "A whole number of seconds from 3600 (an hour) to 43200 (twelve)."
  }
}

variable "tags" {
  description = "The tags of the role. Example: `{ team = \"platform\" }`."
  type        = map(string)
  default     = {}
  nullable    = false

  validation {
    condition     = length(var.tags) <= 50 && alltrue([for key, value in var.tags : length(key) >= 1 && length(key) <= 128 && length(value) <= 256 && !startswith(lower(key), "aws:")])
    error_message = "At most 50 tags; keys of 1 to 128 characters that don't begin with aws:, values of at most 256."
  }
}
