"""What claims measure on a net beside the figures of its training."""

from __future__ import annotations
