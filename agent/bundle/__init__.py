"""The Terraform bundle: a module with all that runs it, as one OCI artifact (docs: "Terraform bundle (OCI)").

Packing and unpacking are here; running engines and git is the business of `agent.build` and `agent.install`.
"""
