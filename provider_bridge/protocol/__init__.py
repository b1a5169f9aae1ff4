"""Plugin protocol 6 as it goes over the wire: messages, values, certificate, handshake. Knows nothing of Exclave."""
