# What is kept: Terraform's state in a bucket, the agent's own folder on a file system, the token in Secrets Manager.

resource "aws_s3_bucket" "state" {
  #checkov:skip=CKV_AWS_18:Access to state is in CloudTrail, where the account has data events; a log bucket is the account's to choose.
  #checkov:skip=CKV_AWS_144:State belongs to the region that it describes. Versions are kept.
  #checkov:skip=CKV_AWS_145:A key of the account's own is var.kms_key_arn; without it, S3's own key encrypts, and the agent seals states itself.
  #checkov:skip=CKV2_AWS_62:Nothing waits for changes of state.
  bucket = local.bucket
  tags   = local.tags
}

resource "aws_s3_bucket_ownership_controls" "state" {
  bucket = aws_s3_bucket.state.id

  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_versioning" "state" {
  bucket = aws_s3_bucket.state.id

  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "state" {
  bucket = aws_s3_bucket.state.id

  rule {
    bucket_key_enabled = var.kms_key_arn != null

    apply_server_side_encryption_by_default {
      sse_algorithm     = var.kms_key_arn == null ? "AES256" : "aws:kms"
      kms_master_key_id = var.kms_key_arn
    }
  }
}

resource "aws_s3_bucket_public_access_block" "state" {
  bucket = aws_s3_bucket.state.id

  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_lifecycle_configuration" "state" {
  bucket = aws_s3_bucket.state.id

  rule {
    id     = "old-versions"
    status = "Enabled"

    filter {}

    noncurrent_version_expiration {
      noncurrent_days           = 365
      newer_noncurrent_versions = 20
    }

    abort_incomplete_multipart_upload {
      days_after_initiation = 7
    }
  }

  # A rule for versions needs versions.
  depends_on = [aws_s3_bucket_versioning.state]
}

resource "aws_s3_bucket_policy" "state" {
  bucket = aws_s3_bucket.state.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "OnlyTLS"
      Effect    = "Deny"
      Principal = "*"
      Action    = "s3:*"
      Resource  = [local.bucket_arn, "${local.bucket_arn}/*"]
      Condition = { Bool = { "aws:SecureTransport" = "false" } }
    }]
  })

  depends_on = [aws_s3_bucket_public_access_block.state]
}

resource "aws_secretsmanager_secret" "token" {
  #checkov:skip=CKV_AWS_149:A key of the account's own is var.kms_key_arn.
  #checkov:skip=CKV2_AWS_57:The token works once: there is nothing to rotate.
  name                    = "${local.prefix}-token"
  description             = "The one-time token with which the Exclave install agent of ${var.name} enrols. Worth nothing once used."
  kms_key_id              = var.kms_key_arn
  recovery_window_in_days = 0
  tags                    = local.tags
}

resource "aws_secretsmanager_secret_version" "token" {
  secret_id                = aws_secretsmanager_secret.token.id
  secret_string_wo         = trimspace(coalesce(var.enrollment_token, "used"))
  secret_string_wo_version = var.enrollment_number
}

# The agent's key, journal and ledger: Fargate's own disk is gone with each task.
resource "aws_efs_file_system" "home" {
  #checkov:skip=CKV_AWS_184:A key of the account's own is var.kms_key_arn; without it, AWS's own key encrypts.
  creation_token = local.prefix
  encrypted      = true
  kms_key_id     = var.kms_key_arn
  tags           = merge(local.tags, { Name = local.prefix })
}

resource "aws_efs_access_point" "home" {
  file_system_id = aws_efs_file_system.home.id
  tags           = local.tags

  posix_user {
    uid = 10001
    gid = 10001
  }

  root_directory {
    path = "/agent"

    creation_info {
      owner_uid   = 10001
      owner_gid   = 10001
      permissions = "0700"
    }
  }
}

resource "aws_efs_file_system_policy" "home" {
  file_system_id = aws_efs_file_system.home.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "TheAgentByItsAccessPoint"
        Effect    = "Allow"
        Principal = { AWS = aws_iam_role.agent.arn }
        Action    = ["elasticfilesystem:ClientMount", "elasticfilesystem:ClientWrite"]
        Resource  = aws_efs_file_system.home.arn
        Condition = { StringEquals = { "elasticfilesystem:AccessPointArn" = aws_efs_access_point.home.arn } }
      },
      {
        Sid       = "OnlyTLS"
        Effect    = "Deny"
        Principal = { AWS = "*" }
        Action    = "*"
        Resource  = aws_efs_file_system.home.arn
        Condition = { Bool = { "aws:SecureTransport" = "false" } }
      },
    ]
  })
}

resource "aws_efs_mount_target" "home" {
  for_each = var.subnet_ids

  file_system_id  = aws_efs_file_system.home.id
  subnet_id       = each.key
  security_groups = [aws_security_group.home.id]
}
