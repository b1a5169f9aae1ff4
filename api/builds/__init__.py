"""Builds: one component config at one source revision, made into one artifact."""
