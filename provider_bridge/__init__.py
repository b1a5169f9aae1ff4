"""The Terraform provider: plugin protocol 6 on one side, the IMS's REST API on the other."""
