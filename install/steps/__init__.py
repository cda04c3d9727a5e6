"""Set-up and tests, step by step. Python's standard library alone: this runs before anything is installed."""
