"""What the parts of Exclave say to each other: pydantic models, references and errors.

Imports nothing else of ours. Every model is frozen and refuses unknown fields, so that a typing error in a request is an
error that names the field, never a setting that is silently ignored.
"""
