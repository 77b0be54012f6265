"""Route tests: cases in YAML, asked of the compiled plan."""
