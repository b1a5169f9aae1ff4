"""Deploys Kubernetes manifests by server-side apply, with an inventory in the cluster."""
