# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Records what the installed SDKs say to a running gateway, and what it answers.

PYTHONPATH=src:tests python tests/vectors/dialects/record.py [SDK ...]
"""

import sys
import warnings

from paths.exchanges import written
from paths.sdk_calls import CALLS, versions
from paths.sdk_tap import exchange

if __name__ == "__main__":
    warnings.simplefilter("ignore")  # the fake engine says that it is one
    for sdk in sys.argv[1:] or CALLS:
        exchanges = {name: exchange(name, call) for name, call in CALLS[sdk].items()}
        written(sdk, versions(sdk), exchanges)
        print(f"{len(exchanges)} exchanges of {versions(sdk)} in {sdk}.json")
