"""Applies the rules of datasets. Apart, since it loads Shapely and jsonschema (decision 0033)."""
