# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Catalogue of gates: evidence in, verdict out.

One rule per file; `panel.GATES` names them all, `panel.judge_stage` seats them over a stage.
"""

__all__ = [
    "approvals",
    "dossier",
    "eval_floor",
    "format_safe",
    "gate",
    "licence_basis",
    "origin_stated",
    "panel",
    "personal_data",
    "scan_clean",
    "steps_run",
]
