#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Prints how many compilers may run at once: one a core, and 1.5 GB of free memory for each.
cores=$(nproc 2>/dev/null || echo 1)
free_kb=$(awk '/^MemAvailable/ { print $2 }' /proc/meminfo 2>/dev/null)
limit=$(cat /sys/fs/cgroup/memory.max 2>/dev/null || echo max)
case $limit in
  max | '') ;;
  *) limit_kb=$((limit / 1024)); [ "$limit_kb" -lt "${free_kb:-0}" ] && free_kb=$limit_kb ;;
esac
jobs=$((${free_kb:-1500000} / 1500000))
[ "$jobs" -gt "$cores" ] && jobs=$cores
[ "$jobs" -lt 1 ] && jobs=1
echo "$jobs"
