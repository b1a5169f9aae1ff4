"""A client of OCI registries (distribution specification 1.1): read, write, copy, sign and verify artifacts by digest.

`digest-pinned`: whatever is read by digest is checked against that digest before anyone sees its last byte.
"""
