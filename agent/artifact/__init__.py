"""Charts and manifests as artifacts: the media types and configs that the build agent writes and the install agent reads."""
