"""Sends a chord for each number of tasks on standard input, and writes the seconds it took.

It polls for the result. Celery's own `get` waits for a notification, and never returns if the
workers finish before it listens, which is common on two cores.
"""

import json
import sys
import time

from celery import chord
from tasks import noop, total

POLL_S = 0.005

for line in sys.stdin:
    tasks = int(line)
    began = time.monotonic()
    result = chord(noop.s(number) for number in range(tasks))(total.s())
    while not result.ready():
        time.sleep(POLL_S)
    took = time.monotonic() - began
    sys.stdout.write(json.dumps({"done": result.result, "seconds": took}) + "\n")
    sys.stdout.flush()
