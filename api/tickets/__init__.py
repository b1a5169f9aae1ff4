"""Tickets: one-time credentials with which an agent pulls or pushes exactly what its job is about."""
