"""Deploys Terraform modules: the engine runs in the customer's account, from the bundle alone."""
