"""Python source as a tree, for tests that read code."""

import ast
import gc
from pathlib import Path


def parsed(source: str | Path) -> ast.Module:
    """Return the tree of a source text or file.

    Python 3.11 counts how deep its tree builder is for the whole process (gh-106905): code that runs in between, when
    garbage is collected, makes it fail with "AST constructor recursion depth mismatch". Seen once in a full run.
    """
    text = source.read_text() if isinstance(source, Path) else source
    gc.disable()
    try:
        return ast.parse(text)
    finally:
        gc.enable()
