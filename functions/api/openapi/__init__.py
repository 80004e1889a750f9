"""The OpenAPI document, and what is written from it."""
