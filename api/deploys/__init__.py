"""Deploys: one release brought to one install, as a graph of steps."""
