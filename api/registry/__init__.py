"""The built-in OCI registry: distribution spec 1.1 with referrers, and the token endpoint on the same host.

The IMS serves it beside its own API (`app.registry_routes`); `exclave registry` serves it alone, as a customer's registry.
"""
