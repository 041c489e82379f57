"""`python -m channeld.config` writes the example file to standard output."""

import sys

from channeld.config.file import default_toml

sys.stdout.write(default_toml())
