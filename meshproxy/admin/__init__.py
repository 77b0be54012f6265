"""What people look at while it runs: admin endpoints and their views."""
