"""A small client of the Kubernetes API: what the agent needs of it, and nothing else (docs/decisions/0020)."""
