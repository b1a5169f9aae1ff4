"""Terraform's state, kept in the customer's account: sealed, in versions, under a lock that says which job holds it."""
