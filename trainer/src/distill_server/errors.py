"""What a client can mend."""

from __future__ import annotations


class RequestError(ValueError):
    """A request the model cannot answer; the text is one sentence with the shape or value expected and got (HTTP 400)."""
