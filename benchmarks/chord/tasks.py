"""A task that does nothing, and a callback that counts. The broker is CELERY_BROKER_URL."""

from celery import Celery

app = Celery("tasks")


@app.task
def noop(number: int) -> int:
    """Be done."""
    return 1


@app.task
def total(done: list[int]) -> int:
    """How many were done."""
    return sum(done)
