"""The peer: cronsim, run with .venv-bench, not with the project's interpreter."""
