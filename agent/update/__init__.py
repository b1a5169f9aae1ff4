"""The install agent's own update: a signed artifact, tried under a small supervisor, and put back if it doesn't hold."""
