# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Catalogue of filters: a document in, the same, a changed one or none out, with the reason.

`catalogue.FILTERS` names them all, `chain` runs some of them over one document. What needs the
whole corpus (duplicates, a budget) has only its pure half here: signatures and ranks.
"""
