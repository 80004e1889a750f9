"""Manifests: what a depositor lists, checked line by line while it streams by.

`reading` reads one in any of the three formats, `entry` is what a row becomes, `findings` what can
be wrong with it, `writing` makes one. The rest is how: `lines` cuts bytes into lines, `checkm`,
`delimited` and `jsonl` know a format each, `rows` checks rows, by whole columns (`columnwise`)
where nothing needs explaining and else one by one (`checking`).
"""
