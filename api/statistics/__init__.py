"""How an install has fared: durations and outcomes of its jobs and deploys."""
