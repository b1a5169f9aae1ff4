"""Kubernetes manifests, plain or kustomized, with the images that they run."""
