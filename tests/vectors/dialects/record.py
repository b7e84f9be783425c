# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Records what the installed SDKs say to a running gateway, and what it answers.

PYTHONPATH=src:tests python tests/vectors/dialects/record.py [SDK or generation ...]
"""

import sys
import warnings

from paths.exchanges import written
from paths.generations import GENERATIONS, of_each, talked
from paths.sdk_calls import CALLS, versions
from paths.sdk_tap import exchange

if __name__ == "__main__":
    warnings.simplefilter("ignore")  # the fake engine says that it is one
    wanted = sys.argv[1:] or [*GENERATIONS, *CALLS]
    for generation in [name for name in GENERATIONS if name in wanted]:
        files, said = talked(generation)
        raised = of_each(generation, said["versions"], said["raised"])
        for (file, made), version in zip(files.items(), said["versions"].values(), strict=True):
            written(file, version, made, raised=raised[file])
            print(f"{len(made)} exchanges of {version} in {file}.json")
    for sdk in [name for name in CALLS if name in wanted]:
        found = {name: exchange(name, call) for name, call in CALLS[sdk].items()}
        written(sdk, versions(sdk), found)
        print(f"{len(found)} exchanges of {versions(sdk)} in {sdk}.json")
