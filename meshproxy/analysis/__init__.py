"""What can be said about correct-looking YAML: findings, each with its place and its remedy."""
