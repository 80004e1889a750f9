"""The laptop: start the emulator, deploy template.yaml to it, make people, show their mail."""
