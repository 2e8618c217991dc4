"""``python -m carousel`` is the command ``carousel``."""

import sys

from carousel.cli import main

sys.exit(main())
