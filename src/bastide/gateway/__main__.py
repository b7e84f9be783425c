# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""``python -m bastide.gateway``."""

from bastide.gateway.main import main

if __name__ == "__main__":
    main()
