"""Nomad's autoscaler: what it is told."""
