"""Components of an app, and their versioned, immutable configs."""
