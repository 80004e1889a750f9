"""Manifests: what a depositor submits, checked row by row as a stream.

`reader` reads any of the three formats, `entry` is a checked row, `findings` is what can be wrong,
`writer` writes a manifest. `lines` splits bytes into lines; `checkm`, `csv_format`, `json_lines`
and `delimited` know the formats; `rows` checks rows, by whole columns (`column_checks`) where
nothing needs an explanation, and else row by row (`validation`).
"""
