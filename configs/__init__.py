"""Pure functions: settings in, plans and files out. Same input, same bytes; no I/O and no Pulumi in here."""
