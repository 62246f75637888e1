"""Long runs: chaos and slow callers. Bounded in time, on loopback; `make soak` runs them, `make test` a short form."""
