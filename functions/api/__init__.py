"""The HTTP API for programs: JSON, described by the OpenAPI document at /api/openapi.json."""
