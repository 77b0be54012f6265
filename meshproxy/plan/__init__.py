"""Immutable decisions, answered from a request head alone: no I/O, no await, no memory."""
