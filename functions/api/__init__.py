"""Programs ask: JSON over HTTP, described by the OpenAPI document at /api/openapi.json."""
