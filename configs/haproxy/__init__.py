"""haproxy"""
