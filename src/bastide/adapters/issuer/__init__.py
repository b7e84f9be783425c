# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Adapters of an issuer of OpenID Connect: asks it, and takes the browser's answer."""
