"""How the demo ends before its end."""

from __future__ import annotations


class DemoError(RuntimeError):
    """A part did not do what it should; the message says which, for people."""
