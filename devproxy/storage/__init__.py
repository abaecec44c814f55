"""Whole files: reading, writing and locking them, files that rotate, and whose process a file speaks of."""
