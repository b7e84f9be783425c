#!/bin/sh
# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
#
# Installs the gateways that run.py compares with, where that is possible: LiteLLM from PyPI,
# Portkey from npm (its Node.js from PyPI, as the tests have it), nginx and HAProxy from Debian.
# What cannot be installed is reported as absent by run.py. These are peers, not dependencies:
# their newest releases, not locked.
#
#   benchmarks/gateway/peers.sh UV
set -u
cd "$(dirname "$0")/../.."
uv=$1
mkdir -p .peers/portkey
if [ ! -x .peers/litellm/bin/litellm ]; then
    echo "Installing LiteLLM"
    "$uv" venv --quiet --allow-existing .peers/litellm &&
        "$uv" pip install --no-config --quiet --python .peers/litellm/bin/python 'litellm[proxy]'
fi
if [ ! -d .peers/portkey/node_modules ]; then
    echo "Installing Portkey"
    (PATH="$PWD/.sdks/node/bin:$PATH"; cd .peers/portkey &&
        npm install --silent --ignore-scripts --no-audit --no-fund @portkey-ai/gateway)
fi
for program in nginx haproxy; do
    command -v $program >/dev/null && continue
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        package=$program
        [ $program = nginx ] && package=nginx-light
        echo "Installing $package"
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $package >/dev/null 2>&1
    fi
done
exit 0
