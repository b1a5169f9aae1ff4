"""Jobs: what agents lease, and the fence around each attempt."""
