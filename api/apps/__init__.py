"""Apps: what the vendor ships."""
