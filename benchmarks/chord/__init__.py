"""The peer: a Celery chord on Redis, run by .venv-bench and never by the project's interpreter."""
