"""Images built from a Dockerfile, in a sandbox without a network."""
