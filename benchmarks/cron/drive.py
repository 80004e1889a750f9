"""For each line on standard input, computes a cron expression's next times and writes the seconds.

A line is JSON: `expression`, `zone`, `start` (a wall time in the zone) and `times` (how many). The
response has the last time, in UTC. Parsing the expression is not measured.
"""

import json
import sys
import time
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from cronsim import CronSim

for line in sys.stdin:
    request = json.loads(line)
    start = datetime.fromisoformat(request["start"]).replace(tzinfo=ZoneInfo(request["zone"]))
    walk = CronSim(request["expression"], start)
    times = request["times"]
    began = time.perf_counter()
    for _ in range(times):
        found = next(walk)
    took = time.perf_counter() - began
    sys.stdout.write(json.dumps({"seconds": took, "last": found.astimezone(UTC).isoformat()}))
    sys.stdout.write("\n")
    sys.stdout.flush()
