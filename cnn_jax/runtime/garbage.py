"""Python's search for garbage in cycles, among all objects seldom.

Importing JAX and tracing a net make some hundred thousand objects that stay. Each time they have
grown by a quarter, Python goes through all of them, which finds nothing: a tenth of a short run
(`gc.callbacks` tells when a search begins and ends).
"""

from __future__ import annotations

import gc

# New objects before the youngest are searched (the default of Python 3.13), searches of these
# before one of the older, and searches of those before one of all: two million new objects.
THRESHOLDS = (2000, 10, 100)


def search_seldom() -> None:
    """For a command that is about to import and to trace; what dies young is found as before."""
    gc.set_threshold(*THRESHOLDS)
