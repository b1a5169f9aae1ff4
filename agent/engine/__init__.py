"""The Terraform or OpenTofu engine: found on this machine, and run as a child process that can be followed and stopped."""
