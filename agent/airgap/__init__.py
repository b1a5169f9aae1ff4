"""The air-gap bundle: a release as one signed tar file, which is an OCI image layout (image specification 1.1)."""
