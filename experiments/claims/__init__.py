"""One claim, one file: `CLAIM` says what is compared, what is measured, and what decides."""
