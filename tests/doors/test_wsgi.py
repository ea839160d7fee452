"""What the portable lane's door must not do to a response."""

from __future__ import annotations

from lb.wsgi import Verbatim

FIELDS = [("Location", '/a%2fb|"<'), ("Last-Modified", "then")]


def test_fields_leave_as_the_backend_wrote_them() -> None:
    """No Content-Type is guessed, no Location rewritten, nothing taken from a 304."""
    for status in (200, 302, 304):
        response = Verbatim(iter(()), status=status, headers=FIELDS)
        assert response.get_wsgi_headers({}).to_wsgi_list() == FIELDS
