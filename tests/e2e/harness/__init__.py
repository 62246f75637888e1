"""The harness of the end-to-end tests: a raw caller, a rogue vendor, a real gateway between them, and the oracles."""
