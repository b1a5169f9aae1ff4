"""The answers to Terraform's calls, a file for each kind of what they are about.

Each is a function of the provider, the request and the `Call` that goes along with it, and may raise anything.
"""
