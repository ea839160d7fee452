"""A policy of somebody else's whose import fails."""

1 / 0  # noqa: B018
