"""Datasets: features with geometries and properties, as GeoJSON holds them."""
