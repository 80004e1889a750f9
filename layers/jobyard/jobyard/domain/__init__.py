"""The rules of Jobyard: states, manifests, job types. Standard library only; no clock, no I/O."""
