"""The local stack: starts the emulator, deploys template.yaml, creates demo users, shows mail."""
