"""A place on this machine where programs of others run: Dockerfiles at the build agent, plugins at both agents."""
