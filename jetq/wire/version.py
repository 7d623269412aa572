"""
version: which jetq this is, as it tells other programs and people.
"""

import sys


def version() -> str:
    """Return the version. The facade says it, since it is what is built and published, and no room may import that."""
    return str(sys.modules["jetq"].__version__)
