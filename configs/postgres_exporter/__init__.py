"""Postgres exporter: metrics of the region's database, asked from each server."""
