"""`python -m fastgate` is the same as `fastgate`."""

from __future__ import annotations

import sys

from fastgate.cli import main

if __name__ == "__main__":
    sys.exit(main())
