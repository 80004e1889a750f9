"""The peer: a Celery chord on Redis, run with .venv-bench, not with the project's interpreter."""
