"""The build agent's work: one component config at one source revision becomes one signed artifact."""
