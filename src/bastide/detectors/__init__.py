# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Catalogue of detectors: text to spans of personal or secret data, one kind a file.

`catalogue.DETECTORS` names them all, `scanner` runs them over a text that comes in pieces, `chain`
makes of a policy what one request needs.
"""
