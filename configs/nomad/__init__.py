"""Nomad: servers and clients, and who may do what."""
