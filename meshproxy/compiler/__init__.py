"""Turns what was written (model) into what will be done (plan)."""
