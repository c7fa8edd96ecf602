// SPDX-License-Identifier: Apache-2.0
#include "protocol/secagg_graph.h"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <utility>

#include "base/check.h"
#include "crypto/hash.h"

namespace coppice {
namespace {

// Public but unforeseeable numbers: SHA-256 in counter mode. KeyedRandom would repeat as well, but
// whoever knows a part of its stream can steer the rest.
class PermutationStream {
 public:
  PermutationStream(const Sha256& roster_hash, std::span<const GraphNonce> nonces) {
    ByteWriter all;
    all.put_raw(roster_hash.span());
    for (const GraphNonce& nonce : nonces) all.put_raw(nonce);
    seed_ = domain_hash(Domain::kGraph, all.bytes());
  }

  std::uint32_t below(std::uint32_t bound) {
    const auto biased = static_cast<std::uint32_t>((std::uint64_t{1} << 32U) % bound);
    while (true) {
      const std::uint32_t random = next();
      if (random <= UINT32_MAX - biased) return random % bound;
    }
  }

 private:
  std::uint32_t next() {
    if (used_ == words_.size()) {
      ByteWriter input;
      input.put_raw(seed_.span());
      input.put(block_++);
      const Sha256 block = domain_hash(Domain::kGraph, input.bytes());
      std::memcpy(words_.data(), block.bytes.data(), sizeof(words_));
      used_ = 0;
    }
    return words_[used_++];
  }

  Sha256 seed_;
  std::uint64_t block_ = 0;
  std::array<std::uint32_t, 8> words_{};
  std::size_t used_ = words_.size();
};

} // namespace

SecAggGraph::SecAggGraph(const Sha256& roster_hash, std::span<const GraphNonce> nonces,
                         std::uint32_t degree)
    : position_(nonces.size()), member_(nonces.size()), degree_(degree) {
  COPPICE_CHECK(nonces.size() >= 2 && degree > 0 && degree < nonces.size());
  COPPICE_CHECK(degree % 2 == 0 || degree == nonces.size() - 1);
  std::iota(member_.begin(), member_.end(), 0U);
  PermutationStream stream(roster_hash, nonces);
  for (std::uint32_t i = members() - 1; i > 0; --i) {
    std::swap(member_[i], member_[stream.below(i + 1)]);
  }
  for (std::uint32_t i = 0; i < members(); ++i) position_[member_[i]] = i;
}

std::uint32_t SecAggGraph::position(std::uint32_t member) const {
  COPPICE_CHECK(member < members());
  return position_[member];
}

std::vector<std::uint32_t> SecAggGraph::neighbours(std::uint32_t member) const {
  const std::uint32_t centre = position(member);
  // From half a degree behind; in a complete graph of odd degree one more ahead than behind.
  const std::uint32_t first = centre + members() - degree_ / 2;
  std::vector<std::uint32_t> found;
  found.reserve(degree_);
  for (std::uint32_t step = 0; step <= degree_; ++step) {
    const std::uint32_t other = member_[(first + step) % members()];
    if (other != member) found.push_back(other);
  }
  std::sort(found.begin(), found.end());
  return found;
}

} // namespace coppice
