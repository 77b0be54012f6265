"""A Snapshot as an Envoy bootstrap of plain dicts: static listeners, routes and clusters that behave as we do."""
