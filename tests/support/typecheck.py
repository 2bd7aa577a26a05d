"""What pytest's `--jaxtyping-packages` checks annotations by: beartype, with int good as float."""

import functools

from beartype import BeartypeConf, beartype

check_types = functools.partial(beartype, conf=BeartypeConf(is_pep484_tower=True))
