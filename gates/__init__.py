"""What `pulumi up` waits for between two steps: resource hooks, each with a condition and a deadline."""
