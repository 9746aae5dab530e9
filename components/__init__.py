"""What is deployed: one component a file, each wiring resources and nothing else."""
