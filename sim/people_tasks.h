// SPDX-License-Identifier: Apache-2.0
// Tasks with headroom for what is a client's own: questions that look alike everywhere and whose
// right answers differ by client, as instruction rows (data.task).
//
//   output-cipher  what is asked is common, what is answered is in the client's own code: a
//                  permutation of twelve code words
//   input-cipher   what is asked is in the client's own code, the answers are common
//   facts          the client's own twelve facts, drawn from 144 answers: recall
//   styles         common answers in one of four manners; a client has one, and no row names it
//
// A question comes in twenty forms, so that gate and report rows ask in a form that training rows
// didn't use for what training rows asked about. Nobody's rows say which client they are of:
// without what is its own a model can do no better than the mixture of all clients' answers. Client
// `client` depends on (seed, client) alone. Pure; thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "client/example_store.h"
#include "sim/scenario.h"

namespace coppice {

// At most `bytes` of rows, at least one; fewer where the task has no more, 240 rows. In a keyed
// order; each once. `task` is not kNone.
std::vector<Piece> task_pieces(DataTask task, std::uint64_t seed, std::uint64_t client,
                               std::uint64_t bytes);
// The four manners of styles; of the others one without a name.
std::vector<std::string> task_labels(DataTask task);
// Which of them the client has.
std::size_t task_label(DataTask task, std::uint64_t seed, std::uint64_t client);

} // namespace coppice
