// SPDX-License-Identifier: Apache-2.0
// Messages of secure aggregation to pieces that fit a chunk, and back.
//
// Thread-compatible.
#pragma once

#include <optional>
#include <vector>

#include "protocol/messages.h"
#include "protocol/secagg_messages.h"

namespace coppice {

// In order; at least one.
std::vector<SecAggPiece> cut_secagg(const Sha256& plan_hash, const SecAggMessage& message);

// Pieces of one sender, as they arrive, for one message at a time.
class SecAggAssembler {
 public:
  // The whole message with its last piece, none before. A piece 0 begins anew, whatever was there
  // (its sender starts over after a reconnect). kCorrupt: out of order, of two counts, or no
  // message; then nothing is kept.
  Result<std::optional<SecAggMessage>> take(const SecAggPiece& piece);

 private:
  Sha256 plan_hash_;
  std::uint32_t pieces_ = 0;
  std::uint32_t next_ = 0;
  Bytes bytes_;
};

} // namespace coppice
