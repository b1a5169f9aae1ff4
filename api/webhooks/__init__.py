"""Webhooks: every event can be sent to an address of the vendor's, signed, at least once."""
