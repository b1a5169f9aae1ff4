"""Custom components: a folder with a command or a plugin of the vendor."""
