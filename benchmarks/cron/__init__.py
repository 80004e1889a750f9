"""The peer: cronsim, run by .venv-bench and never by the project's interpreter."""
