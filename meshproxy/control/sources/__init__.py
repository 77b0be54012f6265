"""Where configuration comes from: reading it, and noticing that it changed."""
