"""What a request costs: meshproxy beside Envoy, nginx, HAProxy and a bare relay, in one run on one machine."""
