"""Gets what the project needs onto this machine: `python3 toolchain/setup.py [--dev] [--environment-only]`.

Runs on the machine's own python3, before any virtual environment exists: standard library only. This file
alone must also parse and start under an older Python 3 (3.6), to say in one line that it is too old.
"""

import sys

MINIMUM_PYTHON = (3, 11)  # requires-python in pyproject.toml


def main() -> None:
    """Set up what is missing; end the process with status 1 and one line when that is impossible."""
    if sys.version_info[:2] < MINIMUM_PYTHON:
        needed, found = (".".join(map(str, version[:2])) for version in (MINIMUM_PYTHON, sys.version_info))
        sys.exit(
            f"setup: Python {needed} or newer is needed, but {sys.executable} is {found}:"
            f" install it, then run again with PYTHON=python{needed}."
        )

    import argparse
    from pathlib import Path

    checkout = Path(__file__).resolve().parents[1]
    sys.path.insert(0, str(checkout))
    from toolchain import environment, packages, tools
    from toolchain.commands import SetupError, locked, say

    parser = argparse.ArgumentParser(description="Set up what is missing, in .venv and in the user's cache.")
    parser.add_argument("--dev", action="store_true", help="also what the tests and the linters need")
    parser.add_argument("--environment-only", action="store_true", help="no programs, as for the linters")
    options = parser.parse_args()

    missing: list[str] = []
    lacking: list[packages.Package] = []
    costs: list[str] = []
    try:
        with locked(checkout):
            if not environment.is_ready(checkout, options.dev):
                environment.require_venv()
                costs.append(f"the virtual environment ({environment.COSTS[options.dev]})")
            if options.dev and not options.environment_only:
                lacking = packages.missing()
            if lacking:
                packages.require_installer(lacking)
                costs.append(f"the packages {', '.join(package.name for package in lacking)} ({packages.COST})")
            for name in () if options.environment_only else tools.needed(options.dev):
                try:
                    tools.find(name)
                except tools.ToolMissing:
                    tools.require_go(name)
                    missing.append(name)
                    costs.append(f"{name} ({tools.TOOLS[name].cost})")
            if costs:
                say(f"Setting up, once: {'; '.join(costs)}.")
            if lacking:
                packages.install(lacking)
            if not environment.is_ready(checkout, options.dev):
                environment.install(checkout, options.dev)
            for name in missing:
                tools.ensure(name)
    except (SetupError, OSError) as error:
        sys.exit(f"setup: {error}")
    except KeyboardInterrupt:
        sys.exit("setup: interrupted; the next run goes on from here.")


if __name__ == "__main__":
    main()
