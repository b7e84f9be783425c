# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Adapters of the Compute port: worker processes of this machine, or workers of a Ray cluster."""
