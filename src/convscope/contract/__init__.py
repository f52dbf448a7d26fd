"""The contract of a lens: what a lens declares, and the command and routes derived from it."""
