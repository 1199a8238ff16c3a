"""`python -m sandbox`, which is what `make run` does."""

import sys

from sandbox.cli import main

sys.exit(main())
