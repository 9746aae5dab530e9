"""The stack on one machine. So far: AWS's APIs over the offline cloud."""
