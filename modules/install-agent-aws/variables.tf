variable "name" {
  description = "The install, as the vendor calls it. Everything here is named `exclave-NAME`. Example: `\"acme\"`."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z]([a-z0-9_-]{0,18}[a-z0-9])?$", var.name))
    error_message = "1 to 20 of a-z, 0-9, - and _; begins with a letter, ends with a letter or a digit. (A bucket's name, which has account and region in it, has 63 characters at most.)"
  }
}

variable "region" {
  description = "The region of the aws provider: the agent, its registry and its bucket are there. Example: `\"eu-west-1\"`."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.region))
    error_message = "A region such as eu-west-1."
  }
}

variable "ims_url" {
  description = "The address of the vendor's IMS, which the agent calls. Example: `\"https://ims.example.com\"`."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^https?://[^/ ]+", var.ims_url))
    error_message = "An address such as https://ims.example.com."
  }
}

variable "image" {
  description = "The agent's image, where this account can pull it; best by digest. Example: `\"111111111111.dkr.ecr.eu-west-1.amazonaws.com/exclave-agent:0.1.0\"`."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z0-9][A-Za-z0-9._:/@-]*$", var.image))
    error_message = "An image such as registry.example.com/exclave-agent:0.1.0."
  }
}

variable "enrollment_token" {
  description = "The vendor's one-time token. It goes into Secrets Manager by a write-only argument, and so into no plan and no state; null once it is used. Example: `file(\"token\")`."
  type        = string
  default     = null
  ephemeral   = true

  validation {
    condition     = var.enrollment_token == null ? true : can(regex("^[!-~]+\\s*$", var.enrollment_token))
    error_message = "The content of the file token, as the vendor gave it."
  }
}

variable "enrollment_number" {
  description = "Counts the tokens: a higher one has Terraform write the token anew, for an agent that enrols again. Example: `2`."
  type        = number
  default     = 1
  nullable    = false

  validation {
    condition     = var.enrollment_number >= 1 && floor(var.enrollment_number) == var.enrollment_number
    error_message = "A whole number from 1 on."
  }
}

variable "vpc_id" {
  description = "The VPC that the agent runs in. Example: `\"vpc-0123456789abcdef0\"`."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^vpc-[0-9a-f]+$", var.vpc_id))
    error_message = "The id of a VPC, such as vpc-0123456789abcdef0."
  }
}

variable "subnet_ids" {
  description = "The subnets that the agent runs in, each in another zone, with a way out (a NAT gateway, or VPC endpoints and a proxy). Example: `[\"subnet-0123456789abcdef0\"]`."
  type        = set(string)
  nullable    = false

  validation {
    condition     = length(var.subnet_ids) > 0 && alltrue([for id in var.subnet_ids : can(regex("^subnet-[0-9a-f]+$", id))])
    error_message = "At least one id of a subnet, such as subnet-0123456789abcdef0."
  }
}

variable "way_out" {
  description = "How the subnets reach the internet: `nat` (or VPC endpoints and a proxy), or `internet_gateway`, where the agent needs a public address; nothing can call it there either. Example: `\"internet_gateway\"`."
  type        = string
  default     = "nat"
  nullable    = false

  validation {
    condition     = contains(["nat", "internet_gateway"], var.way_out)
    error_message = "nat or internet_gateway."
  }
}

variable "egress" {
  description = "What the agent may call: ports and addresses of IPv4. DNS and its own file system come on top. Example: `[{ port = 3128, cidr = \"10.0.0.10/32\" }]`."
  type        = list(object({ port = number, cidr = string }))
  default     = [{ port = 443, cidr = "0.0.0.0/0" }]
  nullable    = false

  validation {
    condition     = length(var.egress) > 0 && alltrue([for rule in var.egress : rule.port >= 1 && rule.port <= 65535 && can(cidrnetmask(rule.cidr))])
    error_message = "At least one rule, each with a port from 1 to 65535 and a range of IPv4 such as 10.0.0.0/8."
  }
}

variable "registry_prefix" {
  description = "The agent makes and fills ECR repositories below this name, and no others. Example: `\"exclave\"`."
  type        = string
  default     = "exclave"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z0-9]+([._/-][a-z0-9]+)*$", var.registry_prefix))
    error_message = "a-z and 0-9, with single . _ - / between them: never empty, for the agent could then write every repository."
  }
}

variable "registry_sole_writer" {
  description = "The agent gives each repository that it makes a policy by which nobody else pushes or deletes there, whatever other roles of the account may do. It needs ecr:SetRepositoryPolicy for that. Example: `false`."
  type        = bool
  default     = true
  nullable    = false

  validation {
    condition     = var.registry_sole_writer || length(var.registry_readers) == 0
    error_message = "registry_readers go with it: both are in the policy that the agent gives its repositories."
  }
}

variable "registry_readers" {
  description = "With registry_sole_writer: the roles and users that alone may pull, beside the agent, such as that of the nodes. Without any, whoever may pull in this account may. Example: `[\"arn:aws:iam::111111111111:role/nodes\"]`."
  type        = set(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for arn in var.registry_readers : can(regex("^arn:(aws|aws-cn|aws-us-gov):iam::[0-9]{12}:(role|user)/[A-Za-z0-9_+=,.@/-]+$", arn))])
    error_message = "Each one is the ARN of a role or a user, such as arn:aws:iam::111111111111:role/nodes."
  }
}

variable "state_bucket_name" {
  description = "The name of the bucket for Terraform's state; else one is made of name, account and region. Example: `\"acme-exclave-state\"`."
  type        = string
  default     = null

  validation {
    condition     = var.state_bucket_name == null ? true : can(regex("^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$", var.state_bucket_name))
    error_message = "3 to 63 of a-z, 0-9, . and -."
  }
}

variable "kms_key_arn" {
  description = "A KMS key of yours for state, logs, the file system and the token, in place of AWS's own. Its policy must let this account's IAM and the service of CloudWatch Logs use it. Example: `\"arn:aws:kms:eu-west-1:111111111111:key/1234abcd-12ab-34cd-56ef-1234567890ab\"`."
  type        = string
  default     = null

  validation {
    condition     = var.kms_key_arn == null ? true : can(regex("^arn:(aws|aws-cn|aws-us-gov):kms:[a-z0-9-]+:[0-9]{12}:key/[0-9a-z-]+$", var.kms_key_arn))
    error_message = "The ARN of a KMS key; an alias won't do."
  }
}

variable "plan_policy_arns" {
  description = "Policies of the role that a product's modules may assume to look around. Without any, there is no such role. Example: `[\"arn:aws:iam::aws:policy/job-function/ViewOnlyAccess\"]`."
  type        = set(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for arn in var.plan_policy_arns : can(regex("^arn:(aws|aws-cn|aws-us-gov):iam::([0-9]{12}|aws):policy/.+$", arn))])
    error_message = "Each one is the ARN of a managed policy."
  }

  validation {
    condition     = !anytrue([for arn in var.plan_policy_arns : endswith(arn, ":policy/AdministratorAccess")])
    error_message = "AdministratorAccess is no policy to look around with."
  }
}

variable "apply_policy_arns" {
  description = "Policies of the role that a product's modules may assume to make, change and destroy. Without any, there is no such role. Example: `[\"arn:aws:iam::111111111111:policy/shop-installer\"]`."
  type        = set(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for arn in var.apply_policy_arns : can(regex("^arn:(aws|aws-cn|aws-us-gov):iam::([0-9]{12}|aws):policy/.+$", arn))])
    error_message = "Each one is the ARN of a managed policy."
  }

  validation {
    condition     = length(var.apply_policy_arns) == 0 || var.permissions_boundary != null
    error_message = "A role that makes things needs a permissions_boundary: it says what the role can't do, whatever its policies say."
  }
}

variable "permissions_boundary" {
  description = "The ARN of a policy that bounds what every role here may do. Needed with apply_policy_arns. Example: `\"arn:aws:iam::111111111111:policy/boundary\"`."
  type        = string
  default     = null

  validation {
    condition     = var.permissions_boundary == null ? true : can(regex("^arn:(aws|aws-cn|aws-us-gov):iam::([0-9]{12}|aws):policy/.+$", var.permissions_boundary))
    error_message = "The ARN of a managed policy, such as arn:aws:iam::111111111111:policy/boundary."
  }
}

variable "readable_secret_arns" {
  description = "Secrets of Secrets Manager that the agent may read, for `ref+awssm` references. Example: `[\"arn:aws:secretsmanager:eu-west-1:111111111111:secret:shop/database-a1b2c3\"]`."
  type        = set(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for arn in var.readable_secret_arns : can(regex("^arn:(aws|aws-cn|aws-us-gov):secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:[A-Za-z0-9/_+=.@-]+[*]?$", arn))])
    error_message = "Each one is the ARN of a secret; a `*` may stand at its very end, after at least one character of the name."
  }
}

variable "policy" {
  description = "Your own rules for the agent, as the text of its policy file, which it reads and can't write; see Exclave's page on what an agent may do. Example: `file(\"policy.yaml\")`."
  type        = string
  default     = null

  validation {
    condition     = var.policy == null ? true : try(yamldecode(var.policy).version == 1, false)
    error_message = "The text of a policy file: YAML with `version: 1`."
  }
}

variable "environment" {
  description = "More of the agent's settings, as environment variables; not for secrets. Example: `{ HTTPS_PROXY = \"http://10.0.0.10:3128\", EXCLAVE_APPROVAL = \"customer\" }`."
  type        = map(string)
  default     = {}
  nullable    = false

  validation {
    condition     = !anytrue([for name in keys(var.environment) : contains(["EXCLAVE_URL", "EXCLAVE_AGENT_NAME", "EXCLAVE_REGISTRY", "EXCLAVE_AGENT_STATE", "EXCLAVE_AGENT_STATE_KEY", "EXCLAVE_AGENT_TOKEN"], name)])
    error_message = "The module sets EXCLAVE_URL, EXCLAVE_AGENT_NAME, EXCLAVE_REGISTRY, EXCLAVE_AGENT_STATE, EXCLAVE_AGENT_STATE_KEY and EXCLAVE_AGENT_TOKEN itself."
  }
}

variable "cpu" {
  description = "CPU units of the agent's task: 1024 is one. Example: `2048`."
  type        = number
  default     = 1024
  nullable    = false

  validation {
    condition     = contains([256, 512, 1024, 2048, 4096], var.cpu)
    error_message = "256, 512, 1024, 2048 or 4096."
  }
}

variable "memory" {
  description = "MiB of memory of the agent's task; Fargate takes some with each cpu. Example: `4096`."
  type        = number
  default     = 2048
  nullable    = false

  validation {
    condition     = var.memory >= var.cpu * 2 && var.memory <= var.cpu * 8 && var.memory % 512 == 0
    error_message = "A multiple of 512, from twice to eight times the cpu."
  }
}

variable "architecture" {
  description = "The image's platform. Example: `\"ARM64\"`."
  type        = string
  default     = "X86_64"
  nullable    = false

  validation {
    condition     = contains(["X86_64", "ARM64"], var.architecture)
    error_message = "X86_64 or ARM64."
  }
}

variable "log_retention_days" {
  description = "For how many days the agent's log is kept. Example: `90`."
  type        = number
  default     = 365
  nullable    = false

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 3653], var.log_retention_days)
    error_message = "One of the numbers that CloudWatch Logs knows: 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 3653."
  }
}

variable "tags" {
  description = "The tags of everything here. Example: `{ team = \"platform\" }`."
  type        = map(string)
  default     = {}
  nullable    = false

  validation {
    condition     = length(var.tags) <= 48 && alltrue([for key, value in var.tags : length(key) >= 1 && length(key) <= 128 && length(value) <= 256 && !startswith(lower(key), "aws:")])
    error_message = "At most 48 tags; keys of 1 to 128 characters that don't begin with aws:, values of at most 256."
  }
}
