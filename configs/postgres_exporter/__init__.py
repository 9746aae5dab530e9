"""postgres_exporter"""
