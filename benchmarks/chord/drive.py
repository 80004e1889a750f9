"""Sends a chord for each number read from standard input and writes how many seconds it took.

It asks for the result every few milliseconds. Celery's own `get` waits for a notification, and for
ever when the workers were done before it had begun to listen, as they often are on two cores.
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
