// SPDX-License-Identifier: Apache-2.0
// Clients' sequences laid out in rectangles that one pass computes.
#pragma once

#include <cstdint>
#include <vector>

#include "model/engine.h"

namespace coppice::graph::packed {

// Sequences of one client that have something to predict: a row of a pack.
struct ClientSequences {
  std::size_t client = 0;
  std::vector<const Sequence*> sequences;
  std::vector<std::size_t> places; // of each in the client's batch
};

// K rows of N tokens: a client's sequences one after the other, which see nothing of one another.
// What no token fills is token 0 at a row's end, which nothing sees and nothing predicts.
struct Pack {
  std::vector<ClientSequences> rows; // K
  std::int64_t width = 0;            // N, of the longest row, in steps of 8
  std::int64_t sequences = 0;        // M, of all rows
  std::int64_t length = 0;           // T, of the longest sequence, in steps of 8

  std::int64_t tokens() const { return static_cast<std::int64_t>(rows.size()) * width; }
};

// Where tokens that are arranged in one way stand in another. What no token fills has the place of
// the first token of its own sequence or row: a client whose numbers are not finite spoils nobody
// else's.
struct TokenPlaces {
  std::vector<std::int64_t> places;
  std::vector<float> filled; // 1, or 0
};

// What a pack's tensors are filled with.
struct PackRows {
  std::vector<std::int64_t> ids;     // (K N)
  std::vector<std::int64_t> rows;    // of these: the positions that predict
  std::vector<std::int64_t> targets; // the tokens predicted there
  std::vector<std::size_t> owners;   // index into Pack::rows
  std::vector<std::size_t> places;   // of the sequence in its client's batch
  // Attention takes sequences of T. Both are empty where each row is cut into such as it lies.
  TokenPlaces into_sequences; // (M T), places in (K N)
  TokenPlaces into_rows;      // (K N), places in (M T)
};

// Rows of at most `most_tokens` each, and so many of attention's, in the order given, with at least
// one sequence each: a client of more has several, one after the other. Clients without sequences
// are left out.
std::vector<ClientSequences> cut_rows(std::vector<ClientSequences> clients,
                                      std::uint64_t most_tokens);

// As many rows in a pack as `max_tokens` hold, at least one, in the order given. With `client_once`
// no pack has two neighbours of one client, as where a pass writes a client's gradient. Depends on
// the arguments alone.
std::vector<Pack> make_packs(std::vector<ClientSequences> rows, std::uint64_t max_tokens,
                             bool client_once);

PackRows lay_out(const Pack& pack);

} // namespace coppice::graph::packed
