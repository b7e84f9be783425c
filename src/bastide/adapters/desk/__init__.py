# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Adapters of the desk as the gateway sees it: files are kept, batches run."""
