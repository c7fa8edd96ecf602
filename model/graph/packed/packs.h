// SPDX-License-Identifier: Apache-2.0
// Clients' sequences laid out in rectangles that one pass computes.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "model/engine.h"

namespace coppice::graph::packed {

// A client's sequences that have something to predict.
struct ClientSequences {
  std::size_t client = 0;
  std::vector<const Sequence*> sequences;
  std::vector<std::size_t> places; // of each in the client's batch
};

// K clients by S sequences by T tokens; what no token fills is token 0 at a sequence's end, or a
// sequence of them, which nothing sees and nothing predicts.
struct Pack {
  std::vector<ClientSequences> clients;
  std::int64_t sequences = 0; // S, of the client with the most
  std::int64_t length = 0;    // T, of the longest sequence, in steps of 8

  std::int64_t tokens() const {
    return static_cast<std::int64_t>(clients.size()) * sequences * length;
  }
};

// What a pack's tensors are filled with.
struct PackRows {
  std::vector<std::int64_t> ids;     // (K S T)
  std::vector<std::int64_t> rows;    // of these: the positions that predict
  std::vector<std::int64_t> targets; // the tokens predicted there
  std::vector<std::size_t> owners;   // index into Pack::clients
  std::vector<std::size_t> places;   // of the sequence in its client's batch
};

// Clients in the order given, as many in a pack as `max_tokens` hold, at least one sequence of one
// client. Depends on the arguments alone. Clients without sequences are left out.
std::vector<Pack> make_packs(std::vector<ClientSequences> clients, std::uint64_t max_tokens);

PackRows lay_out(const Pack& pack);

} // namespace coppice::graph::packed
