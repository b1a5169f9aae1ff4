"""What the install agent does with a job: sync, plan, apply, plan the destruction, destroy."""
