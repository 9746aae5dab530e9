"""What runs on a node. It imports nothing of the project, and nothing but Python's own library."""

from importlib.resources import files


def agent_text() -> str:
    """Return the text of the agent, for the program that deploys it."""
    return files(__name__).joinpath("agent.py").read_text(encoding="utf-8")
