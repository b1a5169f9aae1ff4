"""The API's description (OpenAPI 3.1): what FastAPI finds out by itself, made whole and true."""
