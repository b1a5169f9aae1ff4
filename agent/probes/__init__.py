"""What the vendor declares to be looked at of a deployed component. The health of the agent's own machine is `agent.health`."""
