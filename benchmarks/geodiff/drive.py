"""Merges two edits of one table with geodiff, and writes the seconds of CPU that the merge took.

Standard input has one JSON object: `folder`, which is empty, and `base`, `mine` and `theirs`, lists
of rows: id, name, x, geometry. The response has the seconds, how many conflicts there were, and the
merged rows. Making the databases is not measured.
"""

import json
import sqlite3
import sys
import time
from pathlib import Path

from pygeodiff import GeoDiff

request = json.load(sys.stdin)
folder = Path(request["folder"])
paths = {name: str(folder / f"{name}.sqlite") for name in ("base", "mine", "theirs")}
for name, path in paths.items():
    with sqlite3.connect(path) as database:
        database.execute(
            "CREATE TABLE features (id INTEGER PRIMARY KEY NOT NULL, name TEXT, x INTEGER, "
            "geometry BLOB)"
        )
        rows = ((*row[:3], row[3].encode()) for row in request[name])
        database.executemany("INSERT INTO features VALUES (?, ?, ?, ?)", rows)
conflicts = folder / "conflicts.json"
geodiff = GeoDiff()
began = time.process_time()
geodiff.rebase(paths["base"], paths["theirs"], paths["mine"], str(conflicts))
took = time.process_time() - began
with sqlite3.connect(paths["mine"]) as database:
    merged = database.execute("SELECT id, name, x, geometry FROM features ORDER BY id").fetchall()
found = json.loads(conflicts.read_text())["geodiff"] if conflicts.exists() else []
answer = {
    "seconds": took,
    "conflicts": len(found),
    "merged": [[*row[:3], row[3].decode()] for row in merged],
}
sys.stdout.write(json.dumps(answer) + "\n")
