#!/bin/sh
# Make a virtual environment for each peer that needs one: sh benchmarks/peers/install.sh [FOLDER]
set -eu
here=$(cd "$(dirname "$0")" && pwd)
folder=${1:-$here/../../.peers}
for peer in neuralforecast autogluon; do
    "${PYTHON:-python3}" -m venv "$folder/$peer"
    "$folder/$peer/bin/python" -m pip install --quiet --disable-pip-version-check -r "$here/requirements-$peer.txt"
done
