"""Bearer tokens, of which only hashes are kept."""
