"""What the offline cloud knows about each resource type: data in YAML, each entry with its source."""
