"""Helm charts: from source or from a repository, with the images that they run."""
