"""Components of kinds of the vendor's own: plugins and commands, run in a sandbox."""
