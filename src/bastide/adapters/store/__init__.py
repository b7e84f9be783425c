# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Adapters of the Store port, and what turns a stored object into a sealed memfd."""
