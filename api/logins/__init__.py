"""Logins of people: OpenID Connect in the browser, the device flow (RFC 8628) for programs."""
