"""Towards backends: connections that speak HTTP/1.1, and a pool of idle ones each."""
