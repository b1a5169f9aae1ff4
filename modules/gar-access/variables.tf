variable "project_id" {
  description = "The id of the project that has the repositories, and gets the service account. Example: `\"acme-images\"`."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.project_id))
    error_message = "The project's id, not its number or name: 6 to 30 lower-case letters, digits and hyphens, such as acme-images."
  }
}

variable "repository_location" {
  description = "The location of the repositories. Example: `\"europe-west1\"`."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z0-9-]+$", var.repository_location))
    error_message = "A region such as europe-west1, or a multi-region such as europe."
  }
}

variable "repository_ids" {
  description = "The Artifact Registry repositories that may be read. Example: `[\"shop\"]`."
  type        = set(string)
  nullable    = false

  validation {
    condition     = length(var.repository_ids) > 0
    error_message = "At least one repository: a service account that may read nothing is of no use."
  }

  validation {
    condition     = alltrue([for id in var.repository_ids : can(regex("^[a-z][a-z0-9-]{0,61}[a-z0-9]$", id))])
    error_message = "Each one is a repository's id, such as shop: not its path (projects/…/repositories/shop), and no wildcard."
  }
}

variable "service_account_id" {
  description = "The id of the service account that is made. Example: `\"exclave-gar-access\"`."
  type        = string
  default     = "exclave-gar-access"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.service_account_id))
    error_message = "6 to 30 lower-case letters, digits and hyphens; begins with a letter, ends with a letter or a digit."
  }
}

variable "customer_principals" {
  description = "Who on Google Cloud, such as the build agent's service account, may act as the service account. Example: `[\"serviceAccount:build-agent@acme-platform.iam.gserviceaccount.com\"]`."
  type        = set(string)
  default     = []
  nullable    = false

  validation {
    condition = alltrue([for principal in var.customer_principals : anytrue([
      can(regex("^serviceAccount:[a-z0-9._-]+@[a-z0-9.-]+[.]gserviceaccount[.]com$", principal)),
      can(regex("^principal://iam[.]googleapis[.]com/projects/[0-9]+/locations/global/workloadIdentityPools/[a-z0-9.-]+/subject/[^*]+$", principal)),
      can(regex("^principalSet://iam[.]googleapis[.]com/projects/[0-9]+/locations/global/workloadIdentityPools/[a-z0-9.-]+/(group|attribute[.][a-z0-9_]+)/[^*]+$", principal)),
    ])])
    error_message = "Each one is serviceAccount:NAME@PROJECT.iam.gserviceaccount.com, or a principal:// or principalSet:// of a workload identity pool with a subject, group or attribute. allUsers, allAuthenticatedUsers, whole domains, whole pools and people's accounts are refused."
  }
}

variable "impersonation_role" {
  description = "The role that lets principals get tokens of the service account. Example: `\"projects/acme-images/roles/tokenGetter\"`."
  type        = string
  default     = "roles/iam.workloadIdentityUser"
  nullable    = false

  validation {
    condition     = can(regex("^(roles/iam[.](workloadIdentityUser|serviceAccountTokenCreator)|(projects|organizations)/[a-z0-9-]+/roles/[0-9A-Za-z_.]+)$", var.impersonation_role))
    error_message = "roles/iam.workloadIdentityUser, roles/iam.serviceAccountTokenCreator (which may sign in the account's name, too), or a role of yours (projects/PROJECT/roles/ROLE) with iam.serviceAccounts.getAccessToken."
  }
}

variable "aws_principals" {
  description = "Which AWS roles may act as the service account: for each account, role names without their path (or `allow_any_role`), and the role session name that stands for this customer. Example: `[{ aws_account_id = \"222222222222\", role_names = [\"exclave-build-agent\"], session_name = \"org-7f3c1a\" }]`."
  type = list(object({
    aws_account_id = string
    role_names     = optional(set(string), [])
    allow_any_role = optional(bool, false)
    session_name   = optional(string)
    provider_id    = optional(string)
  }))
  default  = []
  nullable = false

  validation {
    condition     = alltrue([for principal in var.aws_principals : can(regex("^[0-9]{12}$", principal.aws_account_id))])
    error_message = "aws_account_id has 12 digits. Write it in quotes: a number would lose its leading zeros."
  }

  validation {
    condition     = length(distinct(var.aws_principals[*].aws_account_id)) == length(var.aws_principals)
    error_message = "Each AWS account stands in the list once, with all of its role_names."
  }

  validation {
    condition     = alltrue([for principal in var.aws_principals : (length(principal.role_names) > 0) != principal.allow_any_role])
    error_message = "Set either role_names or allow_any_role = true. The latter lets in every role and user of the AWS account: nobody there can be kept from it."
  }

  validation {
    condition     = alltrue([for name in flatten([for principal in var.aws_principals : tolist(principal.role_names)]) : can(regex("^[0-9A-Za-z_+=,.@-]{1,64}$", name))])
    error_message = "role_names are bare names, such as exclave-build-agent: neither ARNs nor paths, for AWS leaves both out of a session's ARN, and no wildcards."
  }

  validation {
    condition     = alltrue([for principal in var.aws_principals : principal.session_name == null ? true : can(regex("^[0-9A-Za-z_+=,.@-]{2,64}$", principal.session_name))])
    error_message = "session_name has 2 to 64 letters, digits and _+=,.@-, as AWS's RoleSessionName."
  }

  validation {
    condition     = alltrue([for principal in var.aws_principals : principal.session_name == null || !principal.allow_any_role])
    error_message = "session_name needs role_names: whoever may use any role of the account gives any session name."
  }

  validation {
    condition     = alltrue([for principal in var.aws_principals : principal.provider_id == null ? true : can(regex("^[a-z0-9-]{4,32}$", principal.provider_id)) && !startswith(principal.provider_id, "gcp-")])
    error_message = "provider_id has 4 to 32 lower-case letters, digits and hyphens, and doesn't begin with gcp-."
  }

  validation {
    condition     = length(distinct([for principal in var.aws_principals : coalesce(principal.provider_id, "aws-${principal.aws_account_id}")])) == length(var.aws_principals)
    error_message = "Two providers of one pool can't have the same provider_id. Left out, it is aws- and the account's id."
  }
}

variable "workload_identity_pool_id" {
  description = "The id of the workload identity pool that is made for `aws_principals`. Example: `\"exclave-aws\"`."
  type        = string
  default     = "exclave-aws"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z0-9-]{4,32}$", var.workload_identity_pool_id)) && !startswith(var.workload_identity_pool_id, "gcp-")
    error_message = "4 to 32 lower-case letters, digits and hyphens, and not gcp- at the beginning. The id of a deleted pool stays reserved for 30 days."
  }
}

variable "existing_workload_identity_pool" {
  description = "The id of a pool in this project to use instead of making one. Whoever may add providers to it may let others in. Example: `\"platform\"`."
  type        = string
  default     = null

  validation {
    condition     = var.existing_workload_identity_pool == null ? true : can(regex("^[a-z0-9-]{4,32}$", var.existing_workload_identity_pool))
    error_message = "A pool's id, such as platform: not its path."
  }
}
