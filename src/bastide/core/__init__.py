# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Nouns. Standard library only; no I/O, no clock, no chance."""
