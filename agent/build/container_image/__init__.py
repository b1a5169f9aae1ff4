"""Images that exist: copied as they are, from registries that anyone or only the vendor may read."""
