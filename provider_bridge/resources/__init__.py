"""Exclave's resources and data sources: how the API's JSON and Terraform's state map onto each other."""
