"""HTTP/1.1 as bytes: heads, body framing, and what a proxy must change.

Nothing in this package reads or writes anything: no socket, no clock, no
settings. Functions take bytes that arrived and return what they mean; whoever
holds the socket asks again with more bytes when the answer is "not yet". That is
what lets every message be tested whole, byte by byte, and with another message
behind it. Keep it so.
"""
