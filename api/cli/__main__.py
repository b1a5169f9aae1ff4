"""`python -m api.cli` is `exclave`."""

from api.cli import main

main()
