"""What the agent has done, in the customer's account: append-only, hash-chained, and checked without the IMS."""
