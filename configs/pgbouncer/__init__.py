"""PgBouncer: what Grafana reaches the database through, one on each server."""
