"""AWS's documented semantics as pure functions, each with its source. Standard library only."""
