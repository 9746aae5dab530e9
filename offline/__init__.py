"""The real Pulumi engine on the real stack files, against providers that run in this process."""
