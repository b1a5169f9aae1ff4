"""Terraform modules: bundles with their providers."""
