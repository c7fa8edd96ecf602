#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The device's program and library, from SOURCE into BUILD.
set -eu
cmake -S "$1" --preset device -B "$2" --log-level=WARNING
cmake --build "$2" --target coppice coppice_shared -j "$("$1/tools/jobs.sh")"
