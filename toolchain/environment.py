"""The virtual environment: pinned, hashed requirements and the project itself, in `.venv` of the checkout."""

import hashlib
import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

from toolchain.commands import SetupError, watch

COSTS = {False: "about a minute, 0.5 GB", True: "about a minute, 0.9 GB"}


def is_ready(checkout: Path, dev: bool) -> bool:
    """Whether the environment of `checkout` was completed from today's inputs (`dev`: for tests as well)."""
    return _python(checkout).exists() and _recorded(checkout) == wanted(checkout, dev)


def require_venv() -> None:
    """Raise SetupError if this Python cannot make virtual environments."""
    # Debian and Ubuntu ship Python without ensurepip.
    if not all(map(importlib.util.find_spec, ("venv", "ensurepip"))):
        raise SetupError(
            f"{sys.executable} cannot make virtual environments: install the system package python3-venv"
            " (Debian, Ubuntu: `apt install python3-venv`), then run again."
        )


def install(checkout: Path, dev: bool) -> None:
    """Make or update the environment; raises SetupError.

    A link is refused: it leads to another checkout's environment, which would be made anew for this one.

    The record of a completed environment is removed first and written last. Without one, as after a killed
    run, the environment is made anew: pip takes a package that it was killed in for an installed one.
    """
    folder = _record(checkout).parent
    if folder.is_symlink():
        raise SetupError(
            f"{folder} is a link to {folder.resolve()}, another checkout's: remove the link, then run again."
        )
    target, recorded = wanted(checkout, dev), _recorded(checkout)
    _record(checkout).unlink(missing_ok=True)
    if not _python(checkout).exists() or any(target[key] != recorded.get(key) for key in ("python", "folder")):
        watch(
            [sys.executable, "-m", "venv", "--clear", str(folder)],
            "virtual environment",
            folder=checkout,
        )
    pip = [str(_python(checkout)), "-m", "pip", "install", "--disable-pip-version-check", "--no-input"]
    requirements = str(target["requirements"])
    watch(
        [*pip, "--require-hashes", "-r", requirements],
        requirements,
        folder=checkout,
        units={"packages found": "Collecting "},
        draws_progress=True,
    )
    watch([*pip, "--no-deps", "--no-build-isolation", "--editable", "."], "the project itself", folder=checkout)
    _record(checkout).write_text(json.dumps(target))


def _record(checkout: Path) -> Path:
    return checkout / ".venv" / "setup.json"


def _python(checkout: Path) -> Path:
    return checkout / ".venv" / "bin" / "python"


def _recorded(checkout: Path) -> dict[str, Any]:
    try:
        return json.loads(_record(checkout).read_text())
    except (FileNotFoundError, ValueError):  # ValueError: cut short by a full disk
        return {}


def wanted(checkout: Path, dev: bool) -> dict[str, Any]:
    """Return what the record of a completed environment says (`dev`: for tests as well)."""
    # The requirements for development contain the others: an environment that has them keeps them.
    dev = dev or "dev" in _recorded(checkout).get("requirements", "")
    requirements = "requirements-dev.txt" if dev else "requirements.txt"
    inputs = [(checkout / name).read_bytes() for name in (requirements, "pyproject.toml")]
    return {
        "requirements": requirements,
        "inputs": [hashlib.sha256(content).hexdigest() for content in inputs],
        # An environment belongs to one Python and, as its scripts hold absolute paths, to one folder.
        "python": "{}.{}".format(*sys.version_info[:2]),
        "folder": str(checkout),
    }
