"""Alertmanager: who is told of what, and how it is written."""
