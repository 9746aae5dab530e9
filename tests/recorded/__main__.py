"""``python -m tests.recorded 0.1.0``: record what this checkout deploys as a release."""

import sys
import tempfile
from pathlib import Path

from tests.recorded import record

with tempfile.TemporaryDirectory() as home:
    record(sys.argv[1], Path(home))
