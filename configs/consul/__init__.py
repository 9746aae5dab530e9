"""Consul: the agents on every node, and who may do what."""
