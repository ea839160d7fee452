"""Byte streams with deadlines: the only place where a socket is read or written.

Two implementations of the same four verbs (`lb.streams.stream`): `hub` for the
fast lane, on gevent's event loop, and `blocking` for everything else, on the
standard `socket`. Errors of the operating system are translated here, once.
"""
