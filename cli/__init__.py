"""The command line ``mlops-ha``: one file a group of commands."""
