"""Live state of those we call: endpoints, balancers, pools. Survives reloads by key."""
