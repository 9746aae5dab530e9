"""Why a procedure does not go on."""

from __future__ import annotations


class Unknown(Exception):
    """Something could not be learned; the message says what, and why not.

    It stops a procedure, and is shown as unknown: nothing is guessed.
    """


class Stop(Exception):
    """A procedure must not go on; the message says why, and what to do."""
