"""Deploys Helm charts: the rendering that was approved is what helm applies."""
