// SPDX-License-Identifier: Apache-2.0
#include "model/graph/packed/packs.h"

#include <algorithm>

namespace coppice::graph::packed {
namespace {

constexpr std::int64_t kLengthStep = 8; // products of bfloat16 are fast in multiples of this

std::int64_t length_of(std::span<const Sequence* const> sequences) {
  std::size_t longest = 0;
  for (const Sequence* sequence : sequences) longest = std::max(longest, sequence->tokens.size());
  return (static_cast<std::int64_t>(longest) + kLengthStep - 1) / kLengthStep * kLengthStep;
}

std::int64_t count_of(const ClientSequences& client) {
  return static_cast<std::int64_t>(client.sequences.size());
}

// A pack's sides with one client more; its clients are left out.
Pack grown(const Pack& pack, const ClientSequences& client) {
  return {.clients = {},
          .sequences = std::max(pack.sequences, count_of(client)),
          .length = std::max(pack.length, length_of(client.sequences))};
}

// A client that is too much for one pack, as several of few sequences.
std::vector<ClientSequences> pieces_of(ClientSequences client, std::uint64_t max_tokens) {
  const auto length = static_cast<std::uint64_t>(length_of(client.sequences));
  const std::size_t most = std::max<std::uint64_t>(max_tokens / length, 1);
  if (client.sequences.size() <= most) return {std::move(client)};
  std::vector<ClientSequences> pieces;
  for (std::size_t at = 0; at < client.sequences.size(); at += most) {
    const std::size_t end = std::min(at + most, client.sequences.size());
    ClientSequences piece{.client = client.client, .sequences = {}, .places = {}};
    for (std::size_t i = at; i < end; ++i) {
      piece.sequences.push_back(client.sequences[i]);
      piece.places.push_back(client.places[i]);
    }
    pieces.push_back(std::move(piece));
  }
  return pieces;
}

} // namespace

std::vector<Pack> make_packs(std::vector<ClientSequences> clients, std::uint64_t max_tokens) {
  std::vector<Pack> packs;
  for (ClientSequences& client : clients) {
    if (client.sequences.empty()) continue;
    for (ClientSequences& piece : pieces_of(std::move(client), max_tokens)) {
      if (!packs.empty()) {
        Pack& last = packs.back();
        const Pack more = grown(last, piece);
        const auto tokens =
            static_cast<std::uint64_t>(more.sequences * more.length) * (last.clients.size() + 1);
        // A client is in a pack once: the pass writes each client's gradient once.
        if (tokens <= max_tokens && last.clients.back().client != piece.client) {
          last.sequences = more.sequences;
          last.length = more.length;
          last.clients.push_back(std::move(piece));
          continue;
        }
      }
      packs.push_back(grown({}, piece));
      packs.back().clients.push_back(std::move(piece));
    }
  }
  return packs;
}

PackRows lay_out(const Pack& pack) {
  PackRows to;
  to.ids.assign(static_cast<std::size_t>(pack.tokens()), 0);
  std::int64_t client_begin = 0;
  for (std::size_t owner = 0; owner < pack.clients.size(); ++owner) {
    const ClientSequences& client = pack.clients[owner];
    for (std::size_t s = 0; s < client.sequences.size(); ++s) {
      const Sequence& sequence = *client.sequences[s];
      const std::int64_t begin = client_begin + static_cast<std::int64_t>(s) * pack.length;
      std::copy(sequence.tokens.begin(), sequence.tokens.end(), to.ids.begin() + begin);
      for (std::size_t i = 1; i < sequence.tokens.size(); ++i) {
        if (sequence.targets[i] == 0) continue;
        to.rows.push_back(begin + static_cast<std::int64_t>(i) - 1);
        to.targets.push_back(sequence.tokens[i]);
        to.owners.push_back(owner);
        to.places.push_back(client.places[s]);
      }
    }
    client_begin += pack.sequences * pack.length;
  }
  return to;
}

} // namespace coppice::graph::packed
