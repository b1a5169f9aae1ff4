"""Deploys images: once synced, there is nothing to run, and others are told where they are."""
