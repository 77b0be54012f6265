"""Counts, logs, traces. Decides nothing about a request."""
