"""What is true: states, manifests, job types, reports. Standard library only; no clock, no I/O."""
