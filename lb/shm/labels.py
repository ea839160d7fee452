"""How requests and attempts end badly, as numbers that fit in a cell.

The error types of RFC 9209 section 2.3, all of them, so that an error class may take
up another one and the file's format stays; before them what that list has no name
for.  A number, once given, is never given to another label: files outlive programs.
"""

from __future__ import annotations

from typing import Final

WELL: Final = 0
"""The number of no label: nothing went wrong."""

OTHER: Final = 1
"""The number of every label that is not in the table."""

CLIENT_LEFT: Final = "client_left"
"""The client went away, or could not be written to, before it had all."""

LABELS: Final = (
    "",
    "other",
    CLIENT_LEFT,
    "dns_timeout",
    "dns_error",
    "destination_not_found",
    "destination_unavailable",
    "destination_ip_prohibited",
    "destination_ip_unroutable",
    "connection_refused",
    "connection_terminated",
    "connection_timeout",
    "connection_read_timeout",
    "connection_write_timeout",
    "connection_limit_reached",
    "tls_protocol_error",
    "tls_certificate_error",
    "tls_alert_received",
    "http_request_error",
    "http_request_denied",
    "http_response_incomplete",
    "http_response_header_section_size",
    "http_response_header_size",
    "http_response_body_size",
    "http_response_trailer_section_size",
    "http_response_trailer_size",
    "http_response_transfer_coding",
    "http_response_content_coding",
    "http_response_timeout",
    "http_upgrade_failed",
    "http_protocol_error",
    "proxy_internal_response",
    "proxy_internal_error",
    "proxy_configuration_error",
    "proxy_loop_detected",
)
"""Labels by their number."""

NUMBERS: Final = {label: number for number, label in enumerate(LABELS)}
"""Numbers by label; use `number_of` for one that may be unknown."""


def number_of(label: str) -> int:
    """The number to count a label under: 0 for none, `OTHER` for an unknown one."""
    return NUMBERS.get(label, OTHER)


def label_of(number: int) -> str:
    """The label of a number; "other" for one that a later version gave."""
    return LABELS[number] if number < len(LABELS) else LABELS[OTHER]
