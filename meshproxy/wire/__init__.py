"""Bytes, sockets, TLS. Codecs decide without I/O; transports own it."""
