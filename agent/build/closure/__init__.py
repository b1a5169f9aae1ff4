"""`closure`: the images that charts and manifests name, found at build and mirrored into the artifact."""
