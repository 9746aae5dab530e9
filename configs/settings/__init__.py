"""The typed model of the stack file: what may be set, what is allowed, and why the defaults are what they are."""
