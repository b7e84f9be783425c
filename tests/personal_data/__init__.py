# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""A generated set of personal data in the languages of the Union, made apart from the detectors."""
