"""Manifests: what a depositor submits, checked row by row as a stream.

`reader` reads all three formats and `writer` writes Checkm. `entry` has the checked rows,
`findings` all checks. `lines` splits bytes into lines, which `checkm`, `csv_format` and
`json_lines` parse. `rows` checks rows: whole columns at a time (`column_checks`) if no row has a
finding, otherwise row by row (`validation`).
"""
