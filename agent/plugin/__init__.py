"""Plugins of the kind `custom`: programs of the vendor, or Python packages, that speak one small protocol."""
