#!/bin/sh
# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
#
# Installs what corpus_tools.py compares with, below .peers, each in an environment of its own: about
# 8 GB, most of it what NeMo-Curator brings. dolma names no package for CLD2, Data-Juicer none for
# aiohttp, and neither does without. These are peers, not dependencies: newest releases, not locked.
#
#   benchmarks/corpus_peers/install_tools.sh UV
set -eu
cd "$(dirname "$0")/../.."
uv=$1
install() {
	name=$1
	shift
	"$uv" venv --quiet --allow-existing ".peers/$name"
	"$uv" pip install --no-config --quiet --python ".peers/$name/bin/python" "$@"
}
install text-dedup text-dedup
install dolma dolma LTpycld2
install data-juicer py-data-juicer aiohttp
install nemo-curator 'nemo-curator[text_cpu]'
