"""meshproxy: one engine that serves, explains, tests and checks Istio traffic-management YAML.

ARCHITECTURE.md shows the floors, the path of a request through them, and where a new line belongs.
"""

__version__ = "0.1.0"
