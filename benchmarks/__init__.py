"""Measurements of speed; each is a module with a `--help`."""
