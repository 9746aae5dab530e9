"""How the virtual environment and the programs that the project runs get onto a machine."""
