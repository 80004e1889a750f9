"""What requests and answers look like; the OpenAPI document is made of these.

A field's description is what a reader of the API's pages gets to see of it.
"""
