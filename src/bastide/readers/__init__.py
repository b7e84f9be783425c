# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Catalogue of readers: bytes of a corpus file to documents, one format a file.

`catalogue.READERS` names them all. A reader gets an open file and never opens one itself.
"""
