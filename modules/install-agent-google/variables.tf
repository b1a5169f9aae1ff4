variable "name" {
  description = "The install, as the vendor calls it. Everything here is named `exclave-NAME`. Example: `\"acme\"`."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z]([a-z0-9_-]{0,14}[a-z0-9])?$", var.name))
    error_message = "1 to 16 of a-z, 0-9, - and _; begins with a letter, ends with a letter or a digit. (A service account's id has 30 characters at most.)"
  }
}

variable "project_id" {
  description = "The project that the agent runs in. Example: `\"acme-shop\"`."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.project_id))
    error_message = "A project's id, such as acme-shop: neither its name nor its number."
  }
}

variable "region" {
  description = "Where the registry and the bucket are. Example: `\"europe-west1\"`."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z]+-[a-z]+[0-9]+$", var.region))
    error_message = "A region such as europe-west1."
  }
}

variable "zone" {
  description = "The zone of the agent's machine, in the region. Example: `\"europe-west1-b\"`."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^${var.region}-[a-z]$", var.zone))
    error_message = "A zone of the region, such as europe-west1-b."
  }
}

variable "ims_url" {
  description = "The address of the vendor's IMS, which the agent calls. Example: `\"https://ims.example.com\"`."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^https?://[A-Za-z0-9.:/_~\\[\\]-]+$", var.ims_url))
    error_message = "An address such as https://ims.example.com."
  }
}

variable "image" {
  description = "The agent's image, where this project can pull it; best by digest. Example: `\"europe-west1-docker.pkg.dev/acme-shop/tools/exclave-agent:0.1.0\"`."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z0-9][A-Za-z0-9._:/@-]*$", var.image))
    error_message = "An image such as registry.example.com/exclave-agent:0.1.0."
  }
}

variable "image_repository" {
  description = "The Artifact Registry repository of the agent's image, if it is in one of this project: the machine may then pull from it. Example: `{ location = \"europe-west1\", name = \"tools\" }`."
  type        = object({ location = string, name = string })
  default     = null

  validation {
    condition     = var.image_repository == null ? true : startswith(var.image, "${var.image_repository.location}-docker.pkg.dev/${var.project_id}/${var.image_repository.name}/")
    error_message = "The repository that image is in, and of this project."
  }
}

variable "enrollment_token" {
  description = "The vendor's one-time token. It goes into Secret Manager by a write-only argument, and so into no plan and no state; null once it is used. Example: `file(\"token\")`."
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

variable "network" {
  description = "The network that the machine is in, for its firewall rules. Example: `\"projects/acme-shop/global/networks/main\"`."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^projects/[a-z0-9-]+/global/networks/[a-z0-9-]+$", var.network))
    error_message = "A network's path, such as projects/acme-shop/global/networks/main."
  }
}

variable "subnetwork" {
  description = "The subnetwork that the machine is in, with a way out: Cloud NAT, or private Google access and a proxy. Example: `\"projects/acme-shop/regions/europe-west1/subnetworks/private\"`."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^projects/[a-z0-9-]+/regions/${var.region}/subnetworks/[a-z0-9-]+$", var.subnetwork))
    error_message = "The path of a subnetwork in the region, such as projects/acme-shop/regions/europe-west1/subnetworks/private."
  }
}

variable "egress" {
  description = "What the agent may call: ports and addresses. All else is refused; the metadata server, which is also its DNS, can always be called. Example: `[{ port = 3128, cidr = \"10.0.0.10/32\" }]`."
  type        = list(object({ port = number, cidr = string }))
  default     = [{ port = 443, cidr = "0.0.0.0/0" }]
  nullable    = false

  validation {
    condition     = length(var.egress) > 0 && alltrue([for rule in var.egress : rule.port >= 1 && rule.port <= 65535 && can(cidrhost(rule.cidr, 0))])
    error_message = "At least one rule, each with a port from 1 to 65535 and a range such as 10.0.0.0/8."
  }
}

variable "bucket_name" {
  description = "The name of the bucket for Terraform's state; else one is made of project and name. Example: `\"acme-exclave-state\"`."
  type        = string
  default     = null

  validation {
    condition     = var.bucket_name == null ? true : can(regex("^[a-z0-9][a-z0-9_-]{1,61}[a-z0-9]$", var.bucket_name))
    error_message = "3 to 63 of a-z, 0-9, _ and -."
  }
}

variable "kms_key" {
  description = "A key of Cloud KMS of yours for the bucket, the registry and the machine's disk, in place of Google's own; their service agents must be allowed to use it. Example: `\"projects/acme-shop/locations/europe-west1/keyRings/exclave/cryptoKeys/state\"`."
  type        = string
  default     = null

  validation {
    condition     = var.kms_key == null ? true : can(regex("^projects/[a-z0-9-]+/locations/${var.region}/keyRings/[A-Za-z0-9_-]+/cryptoKeys/[A-Za-z0-9_-]+$", var.kms_key))
    error_message = "A key's path, in the region."
  }
}

variable "plan_roles" {
  description = "Roles in the project of the service account that a product's modules may act as to look around. Without any, there is no such account. Example: `[\"roles/compute.viewer\"]`."
  type        = set(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for role in var.plan_roles : can(regex("^(roles|projects/[a-z0-9-]+/roles|organizations/[0-9]+/roles)/[A-Za-z0-9_.]+$", role)) && !contains(["roles/owner", "roles/editor"], role)])
    error_message = "Each one is a role such as roles/compute.viewer; roles/owner and roles/editor are none to look around with."
  }
}

variable "apply_roles" {
  description = "Roles in the project of the service account that a product's modules may act as to make, change and destroy. Without any, there is no such account. Example: `[\"roles/cloudsql.admin\"]`."
  type        = set(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for role in var.apply_roles : can(regex("^(roles|projects/[a-z0-9-]+/roles|organizations/[0-9]+/roles)/[A-Za-z0-9_.]+$", role)) && !contains(["roles/owner", "roles/editor", "roles/resourcemanager.projectIamAdmin"], role)])
    error_message = "Each one is a role such as roles/cloudsql.admin. roles/owner, roles/editor and roles/resourcemanager.projectIamAdmin are refused: with them it could give itself any other."
  }
}

variable "readable_secrets" {
  description = "Secrets of Secret Manager in the project that the agent may read, for `ref+gcpsm` references. Example: `[\"shop-database\"]`."
  type        = set(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for secret in var.readable_secrets : can(regex("^[A-Za-z0-9_-]{1,255}$", secret))])
    error_message = "Each one is the id of a secret, without a path."
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
    condition     = !anytrue([for name, value in var.environment : contains(["EXCLAVE_URL", "EXCLAVE_AGENT_NAME", "EXCLAVE_REGISTRY", "EXCLAVE_AGENT_STATE", "EXCLAVE_TOKEN_REFERENCE"], name) || !can(regex("^[A-Za-z_][A-Za-z0-9_]*$", name)) || strcontains(value, "\n")])
    error_message = "Names of variables, with values of one line; the module sets EXCLAVE_URL, EXCLAVE_AGENT_NAME, EXCLAVE_REGISTRY, EXCLAVE_AGENT_STATE and EXCLAVE_TOKEN_REFERENCE itself."
  }
}

variable "machine_type" {
  description = "The machine's type. Example: `\"e2-standard-2\"`."
  type        = string
  default     = "e2-medium"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9]*-[a-z0-9-]+$", var.machine_type))
    error_message = "A machine type such as e2-medium."
  }
}

variable "labels" {
  description = "The labels of everything here. Example: `{ team = \"platform\" }`."
  type        = map(string)
  default     = {}
  nullable    = false

  validation {
    condition     = length(var.labels) <= 62 && alltrue([for key, value in var.labels : can(regex("^[a-z][a-z0-9_-]{0,62}$", key)) && can(regex("^[a-z0-9_-]{0,63}$", value))])
    error_message = "At most 62 labels; keys and values of at most 63 of a-z, 0-9, _ and -, keys beginning with a letter."
  }
}
