"""The collection of artifacts that nothing needs any more: which digests are in use, and the order to remove the others."""
