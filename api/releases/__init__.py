"""Releases: immutable, numbered sets of builds."""
