"""The verbs. Builds the parts and joins them; holds no logic of its own."""
