#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A program and its C library for tests of another preset than the present one:
#   build_preset.sh PRESET SOURCE BUILD [-Dname=value ...]
set -eu
preset=$1 source=$2 build=$3
shift 3
cmake -S "$source" --preset "$preset" -B "$build" --log-level=WARNING "$@"
cmake --build "$build" -j "$("$source/tools/jobs.sh")"
