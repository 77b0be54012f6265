"""One connection and one request: bytes to plan to endpoint and back."""
