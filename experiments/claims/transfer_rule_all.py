"""The rule of thumb of transfer learning names the way that is best, with all images.

python -m experiments.run transfer_rule_all
"""

import dataclasses

from experiments.claims.transfer_rule_few import CLAIM as FEW

CLAIM = dataclasses.replace(
    FEW,
    statement=(
        "The rule of thumb of transfer learning names the way that is best, with all images."
    ),
    probe="experiments.probes.advice:all_images",
    scales={
        "laptop": dataclasses.replace(FEW.scales["laptop"], note="Eight minutes of a core a seed.")
    },
)
