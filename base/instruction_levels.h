// SPDX-License-Identifier: Apache-2.0
// COPPICE_LEVELS before a function: it is compiled for several instruction levels, and the
// machine's is chosen when the program is loaded.
//
// All levels give the same bits: none of them may fuse or reorder (-ffp-contract=off, no
// -ffast-math), so a loop written over vectors of a fixed length adds in one order everywhere.
#pragma once

#if defined(__x86_64__) && defined(__GNUC__)
#define COPPICE_LEVELS __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define COPPICE_LEVELS
#endif
