"""`exclave agent doctor`: whether this machine has what an agent needs, with a remedy for each thing that it lacks."""
