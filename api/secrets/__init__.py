"""Secrets: what encrypts them at rest, and the named secrets of the vendor."""
