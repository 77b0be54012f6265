"""`meshproxy demo`: Bookinfo's services in small, the proxy in front of them, and a tour that checks itself."""
