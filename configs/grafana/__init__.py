"""Grafana: dashboards, and what they are drawn from."""
