"""Prometheus: what is scraped, what is derived from it, and whom it tells."""
