// SPDX-License-Identifier: Apache-2.0
#include "model/graph/packed/packs.h"

#include <algorithm>

namespace coppice::graph::packed {
namespace {

constexpr std::int64_t kLengthStep = 8; // products of bfloat16 are fast in multiples of this

std::int64_t stepped(std::size_t tokens) {
  return (static_cast<std::int64_t>(tokens) + kLengthStep - 1) / kLengthStep * kLengthStep;
}

Pack pack_of(ClientSequences row) {
  std::size_t longest = 0, tokens = 0;
  for (const Sequence* sequence : row.sequences) {
    longest = std::max(longest, sequence->tokens.size());
    tokens += sequence->tokens.size();
  }
  Pack pack{.rows = {},
            .width = stepped(tokens),
            .sequences = static_cast<std::int64_t>(row.sequences.size()),
            .length = stepped(longest)};
  pack.rows.push_back(std::move(row));
  return pack;
}

// The tokens that a pass computes: those of the rows, or those of attention's sequences.
std::uint64_t cost_of(std::size_t rows, std::int64_t width, std::int64_t sequences,
                      std::int64_t length) {
  return static_cast<std::uint64_t>(
      std::max(static_cast<std::int64_t>(rows) * width, sequences * length));
}

// Takes the one row of `more` in, if both are no more than `max_tokens` together.
bool takes(Pack& pack, Pack& more, std::uint64_t max_tokens) {
  const std::int64_t width = std::max(pack.width, more.width);
  const std::int64_t sequences = pack.sequences + more.sequences;
  const std::int64_t length = std::max(pack.length, more.length);
  if (cost_of(pack.rows.size() + 1, width, sequences, length) > max_tokens) return false;
  pack.width = width;
  pack.sequences = sequences;
  pack.length = length;
  pack.rows.push_back(std::move(more.rows.front()));
  return true;
}

// Whether each row, cut into pieces of T, is its sequences.
bool lies_cut(const Pack& pack) {
  if (pack.width % pack.length != 0) return false;
  return std::ranges::all_of(pack.rows, [&](const ClientSequences& row) {
    return std::all_of(row.sequences.begin(), row.sequences.end() - 1, [&](const Sequence* of) {
      return static_cast<std::int64_t>(of->tokens.size()) == pack.length;
    });
  });
}

void regroup(const Pack& pack, PackRows& to) {
  TokenPlaces& in_sequences = to.into_sequences;
  TokenPlaces& in_rows = to.into_rows;
  for (std::size_t owner = 0; owner < pack.rows.size(); ++owner) {
    const auto row_begin = static_cast<std::int64_t>(owner) * pack.width;
    const auto first = static_cast<std::int64_t>(in_sequences.places.size());
    std::int64_t begin = row_begin;
    for (const Sequence* sequence : pack.rows[owner].sequences) {
      const auto count = static_cast<std::int64_t>(sequence->tokens.size());
      for (std::int64_t i = 0; i < pack.length; ++i) {
        if (i < count)
          in_rows.places.push_back(static_cast<std::int64_t>(in_sequences.places.size()));
        in_sequences.places.push_back(begin + (i < count ? i : 0));
        in_sequences.filled.push_back(i < count ? 1.0F : 0.0F);
      }
      begin += count;
    }
    in_rows.filled.resize(in_rows.places.size(), 1.0F);
    in_rows.places.resize(static_cast<std::size_t>(row_begin + pack.width), first);
    in_rows.filled.resize(in_rows.places.size(), 0.0F);
  }
}

} // namespace

std::vector<ClientSequences> cut_rows(std::vector<ClientSequences> clients,
                                      std::uint64_t most_tokens) {
  std::vector<ClientSequences> rows;
  for (const ClientSequences& client : clients) {
    std::int64_t tokens = 0, longest = 0;
    for (std::size_t i = 0; i < client.sequences.size(); ++i) {
      const auto more = static_cast<std::int64_t>(client.sequences[i]->tokens.size());
      if (i == 0 ||
          cost_of(1, tokens + more, static_cast<std::int64_t>(rows.back().sequences.size()) + 1,
                  std::max(longest, more)) > most_tokens) {
        rows.push_back({.client = client.client, .sequences = {}, .places = {}});
        tokens = longest = 0;
      }
      rows.back().sequences.push_back(client.sequences[i]);
      rows.back().places.push_back(client.places[i]);
      tokens += more;
      longest = std::max(longest, more);
    }
  }
  return rows;
}

std::vector<Pack> make_packs(std::vector<ClientSequences> rows, std::uint64_t max_tokens,
                             bool client_once) {
  std::vector<Pack> packs;
  for (ClientSequences& row : rows) {
    const std::size_t client = row.client;
    Pack more = pack_of(std::move(row));
    const bool again = client_once && !packs.empty() && packs.back().rows.back().client == client;
    if (!packs.empty() && !again && takes(packs.back(), more, max_tokens)) continue;
    packs.push_back(std::move(more));
  }
  return packs;
}

PackRows lay_out(const Pack& pack) {
  PackRows to;
  to.ids.assign(static_cast<std::size_t>(pack.tokens()), 0);
  for (std::size_t owner = 0; owner < pack.rows.size(); ++owner) {
    const ClientSequences& row = pack.rows[owner];
    std::int64_t begin = static_cast<std::int64_t>(owner) * pack.width;
    for (std::size_t s = 0; s < row.sequences.size(); ++s) {
      const Sequence& sequence = *row.sequences[s];
      std::copy(sequence.tokens.begin(), sequence.tokens.end(), to.ids.begin() + begin);
      for (std::size_t i = 1; i < sequence.tokens.size(); ++i) {
        if (sequence.targets[i] == 0) continue;
        to.rows.push_back(begin + static_cast<std::int64_t>(i) - 1);
        to.targets.push_back(sequence.tokens[i]);
        to.owners.push_back(owner);
        to.places.push_back(row.places[s]);
      }
      begin += static_cast<std::int64_t>(sequence.tokens.size());
    }
  }
  if (!lies_cut(pack)) regroup(pack, to);
  return to;
}

} // namespace coppice::graph::packed
