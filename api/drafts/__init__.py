"""Drafts: what an app would be if a plan were carried out, looked at without storing anything."""
