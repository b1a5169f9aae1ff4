"""Installs: one app in one customer's account."""
