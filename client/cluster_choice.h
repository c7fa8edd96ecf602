// SPDX-License-Identifier: Apache-2.0
// Which of a release's clusters suits a device best (IFCA, Ghosh et al. 2020, algorithm 1, line 6):
// the one whose adapter has the least loss on its text.
#pragma once

#include "base/random.h"
#include "client/example_store.h"
#include "model/engine.h"

namespace coppice {

// On gate text, or without any on the first of its training text. Where all are equally good, as in
// version 0, `key` draws one. The release's ranks can be cut into so many. Errors are the engine's.
Result<std::uint32_t> choose_cluster(Engine& engine, const ExampleSet& examples,
                                     const Adapter& release, std::uint32_t clusters,
                                     const RandomKey& key);

} // namespace coppice
