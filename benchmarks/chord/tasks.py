"""A task that does nothing, and a callback that counts. CELERY_BROKER_URL names the broker."""

from celery import Celery

app = Celery("tasks")


@app.task
def noop(number: int) -> int:
    """Succeed at once."""
    return 1


@app.task
def total(done: list[int]) -> int:
    """The number of finished tasks."""
    return sum(done)
