# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Whether a dataset may be packed: any may, unless the policy has a rule for it.

The rule `pack` demands `dataset-released`, and nothing else is understood: a rule that asks for
more, or for less, refuses. Packing is no stage of the lifecycle; its evidence opens no gate.
"""

from bastide.core.errors import Refused
from bastide.core.evidence import Evidence
from bastide.core.policy import PACK, RELEASED
from bastide.ledger import Ledger
from bastide.stages.dataset_release import verify_released

__all__ = ["verify_may_pack"]


def verify_may_pack(ledger: Ledger, dataset: Evidence) -> None:
    """Return if the policy lets a dataset be packed. Raises Refused with every reason."""
    rule = ledger.policy().rule(PACK)
    if rule is not None:
        if dict(rule.gates) != {RELEASED: {}} or rule.approvals:
            raise Refused(
                f"{dataset.subject.name} may not be packed",
                reasons=(f"the policy's rule for {PACK} asks for more than {RELEASED}",),
                fix="this version of Bastide knows no such rule",
            )
        verify_released(ledger, dataset)
