"""How moments and spans of time are told."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


def moment(when: datetime) -> str:
    """Return a time in UTC, to the second."""
    return f"{when.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def span(duration: timedelta) -> str:
    """Return a duration in minutes and seconds, of which those that are zero are left out.

    >>> span(timedelta(minutes=15)), span(timedelta(seconds=61)), span(timedelta())
    ('15 min', '1 min 1 s', '0 s')
    """
    minutes, seconds = divmod(int(duration.total_seconds()), 60)
    return " ".join([f"{minutes} min"] * bool(minutes) + [f"{seconds} s"] * bool(seconds or not minutes))
