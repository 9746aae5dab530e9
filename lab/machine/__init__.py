"""What runs inside a node of the lab: its first process, and what stands in for the programs of a machine of AWS.

Nothing in here imports more than the standard library: it starts dozens of times in a test, within milliseconds.
"""
