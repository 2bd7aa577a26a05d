"""`tests.support.typecheck` is known from here on to what pytest checks annotations by."""

import tests.support.typecheck  # noqa: F401
