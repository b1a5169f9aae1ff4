"""The IMS: REST API, workflows, database, built-in OCI registry."""
