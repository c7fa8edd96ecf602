// SPDX-License-Identifier: Apache-2.0
#include "protocol/secagg_pieces.h"

#include <algorithm>

#include "base/text.h"

namespace coppice {

std::vector<SecAggPiece> cut_secagg(const Sha256& plan_hash, const SecAggMessage& message) {
  const Bytes bytes = encode_secagg(message);
  const std::uint32_t count = std::max(1U, limits::chunks_of(bytes.size()));
  COPPICE_CHECK(count <= limits::kSecAggPieces);
  std::vector<SecAggPiece> pieces;
  for (std::uint32_t i = 0; i < count; ++i) {
    const std::size_t begin = std::size_t{i} * limits::kChunkBytes;
    const std::size_t length = std::min(limits::kChunkBytes, bytes.size() - begin);
    const auto first = bytes.begin() + static_cast<std::ptrdiff_t>(begin);
    pieces.push_back(
        {plan_hash, i, count, Bytes(first, first + static_cast<std::ptrdiff_t>(length))});
  }
  return pieces;
}

Result<std::optional<SecAggMessage>> SecAggAssembler::take(const SecAggPiece& piece) {
  if (piece.index == 0) {
    plan_hash_ = piece.plan_hash;
    pieces_ = piece.pieces;
    next_ = 0;
    bytes_.clear();
  }
  if (piece.index != next_ || piece.pieces != pieces_ || piece.index >= piece.pieces ||
      piece.plan_hash != plan_hash_) {
    bytes_.clear();
    pieces_ = next_ = 0;
    return Error{ErrorCode::kCorrupt, cat("piece ", piece.index, " of ", piece.pieces,
                                          " of a message came out of order")};
  }
  bytes_.insert(bytes_.end(), piece.data.begin(), piece.data.end());
  next_ += 1;
  if (next_ < pieces_) return std::optional<SecAggMessage>{};
  auto message = decode_secagg(bytes_);
  bytes_.clear();
  pieces_ = next_ = 0;
  return std::optional<SecAggMessage>{COPPICE_TRY(std::move(message))};
}

} // namespace coppice
