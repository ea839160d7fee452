"""Evenhand, an HTTP load balancer in Python."""

__version__ = "0.1.0"
