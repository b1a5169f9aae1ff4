"""Agents: enrolment, sign-in, and the protocol that they speak."""
