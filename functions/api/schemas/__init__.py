"""The schemas of requests and responses, and how each is built from what a service returns.

The OpenAPI document is generated from them, so descriptions are written for clients.
"""
