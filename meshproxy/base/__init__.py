"""The ground floor: message heads, header names, errors, origins, clock. Imports nothing of ours."""
