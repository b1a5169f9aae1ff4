"""The build agent and the install agent. They speak to the IMS and to registries by outbound HTTP only."""
