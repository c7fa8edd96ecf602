// SPDX-License-Identifier: Apache-2.0
#include "protocol/secagg_graph.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <map>
#include <utility>
#include <vector>

#include "tests/protocol/samples.h"

namespace coppice {
namespace {

using ::testing::ElementsAre;

// Nonce i is 32 bytes of the value i, or a nonce of its own for each `draw`.
std::vector<GraphNonce> nonces(std::uint32_t members, std::uint32_t draw = 0) {
  std::vector<GraphNonce> made(members);
  for (std::uint32_t i = 0; i < members; ++i) {
    made[i].fill(static_cast<std::uint8_t>(i));
    if (draw != 0) std::memcpy(made[i].data(), &draw, sizeof(draw));
  }
  return made;
}

const Sha256& roster() {
  static const Sha256 hash = samples::hash(0xa0);
  return hash;
}

std::vector<std::uint32_t> positions(const SecAggGraph& graph) {
  std::vector<std::uint32_t> all(graph.members());
  for (std::uint32_t i = 0; i < graph.members(); ++i) all[i] = graph.position(i);
  return all;
}

std::size_t reachable_from_the_first(const SecAggGraph& graph) {
  std::vector<bool> seen(graph.members());
  std::vector<std::uint32_t> open{0};
  std::size_t count = 0;
  seen[0] = true;
  while (!open.empty()) {
    const std::uint32_t member = open.back();
    open.pop_back();
    ++count;
    for (const std::uint32_t next : graph.neighbours(member)) {
      if (!seen[next]) open.push_back(next);
      seen[next] = true;
    }
  }
  return count;
}

TEST(SecAggGraph, ItIsRegularSymmetricConnectedAndWithoutLoops) {
  for (const auto& [members, degree] : std::map<std::uint32_t, std::uint32_t>{
           {2, 1}, {3, 2}, {4, 3}, {7, 6}, {31, 30}, {32, 2}, {33, 16}, {50, 48}, {1000, 134}}) {
    const SecAggGraph graph(roster(), nonces(members), degree);
    ASSERT_EQ(graph.members(), members);
    ASSERT_EQ(graph.degree(), degree);
    std::vector<std::vector<std::uint32_t>> all;
    for (std::uint32_t i = 0; i < members; ++i) all.push_back(graph.neighbours(i));
    for (std::uint32_t i = 0; i < members; ++i) {
      const auto& near = all[i];
      ASSERT_EQ(near.size(), degree) << "of " << members;
      ASSERT_TRUE(std::is_sorted(near.begin(), near.end()));
      ASSERT_EQ(std::adjacent_find(near.begin(), near.end()), near.end()) << "twice";
      for (const std::uint32_t j : near) {
        ASSERT_NE(j, i);
        ASSERT_TRUE(std::binary_search(all[j].begin(), all[j].end(), i)) << i << " of " << j;
      }
    }
    ASSERT_EQ(reachable_from_the_first(graph), members);
  }
}

TEST(SecAggGraph, NeighboursAreThoseWithinHalfTheDegreeOnTheRing) {
  const SecAggGraph graph(roster(), nonces(41), 10);
  for (std::uint32_t i = 0; i < 41; ++i) {
    const auto near = graph.neighbours(i);
    for (std::uint32_t j = 0; j < 41; ++j) {
      const std::uint32_t ahead = (graph.position(j) + 41 - graph.position(i)) % 41;
      const bool within = j != i && std::min(ahead, 41 - ahead) <= 5;
      ASSERT_EQ(std::binary_search(near.begin(), near.end(), j), within);
    }
  }
}

// From 20 lines of Python with hashlib and struct that follow the header's description: H(x) =
// SHA-256(u8 16, "coppice/v1/graph", u64 length of x, x); seed = H(32 bytes of 0xa0, then 32 bytes
// of each of 0, 1, ...); u32 words of H(seed, u64 0), H(seed, u64 1), ... drive Fisher-Yates. 40
// members use up several blocks.
TEST(SecAggGraph, ASecondImplementationFindsTheSameOrder) {
  EXPECT_THAT(positions(SecAggGraph(roster(), nonces(8), 7)), ElementsAre(3, 6, 5, 7, 2, 0, 1, 4));
  const SecAggGraph larger(roster(), nonces(40), 6);
  EXPECT_THAT(positions(larger), ElementsAre(2, 1, 10, 23, 21, 19, 39, 9, 34, 18, 26, 35, 27, 28,
                                             16, 24, 22, 11, 38, 7, 0, 17, 31, 37, 14, 33, 29, 25,
                                             12, 8, 15, 36, 32, 4, 30, 13, 6, 20, 3, 5));
  EXPECT_THAT(larger.neighbours(0), ElementsAre(1, 6, 20, 33, 38, 39));
}

TEST(SecAggGraph, AnyNonceAndTheRosterChangeTheOrder) {
  const auto before = positions(SecAggGraph(roster(), nonces(40), 6));
  for (std::size_t i = 0; i < 40; ++i) {
    for (const std::size_t byte : {std::size_t{0}, std::size_t{31}}) {
      auto changed = nonces(40);
      changed[i][byte] ^= 0x80U;
      EXPECT_NE(positions(SecAggGraph(roster(), changed, 6)), before) << i;
    }
  }
  EXPECT_NE(positions(SecAggGraph(samples::hash(0xa1), nonces(40), 6)), before);
  auto swapped = nonces(40);
  std::swap(swapped[3], swapped[4]);
  EXPECT_NE(positions(SecAggGraph(roster(), swapped, 6)), before) << "whose nonce it is counts";
}

// All 120 orders of 5 members over 24,000 draws in which only one member's nonce changes (bytes of
// its nonce are the number of the draw): each 200 times expected. Chi-square with 119 degrees of
// freedom exceeds 207.2 with probability 1e-6; the draws are fixed, so it passes always or never.
TEST(SecAggGraph, OneHonestNonceMakesEveryOrderEquallyLikely) {
  constexpr std::uint32_t kDraws = 24'000;
  std::map<std::vector<std::uint32_t>, int> seen;
  auto drawn = nonces(5);
  for (std::uint32_t draw = 0; draw < kDraws; ++draw) {
    std::memcpy(drawn[2].data(), &draw, sizeof(draw));
    ++seen[positions(SecAggGraph(roster(), drawn, 4))];
  }
  ASSERT_EQ(seen.size(), 120U);
  constexpr double kExpected = kDraws / 120.0;
  double chi_square = 0;
  for (const auto& [order, count] : seen) {
    chi_square += (count - kExpected) * (count - kExpected) / kExpected;
  }
  EXPECT_LT(chi_square, 207.2);
}

// Where in the ring of 20 each of 3 members stands: 19 degrees of freedom, 63.7 at 1e-6 (of the
// three, 3e-6). A modulo or an off-by-one in the shuffle favours the ends.
TEST(SecAggGraph, PositionsOfALargerRingAreUniform) {
  constexpr std::uint32_t kDraws = 10'000;
  std::array<std::array<int, 20>, 3> seen{};
  const std::array<std::uint32_t, 3> watched{0, 10, 19};
  for (std::uint32_t draw = 1; draw <= kDraws; ++draw) {
    const SecAggGraph graph(roster(), nonces(20, draw), 4);
    for (std::size_t i = 0; i < 3; ++i) ++seen[i][graph.position(watched[i])];
  }
  for (const auto& counts : seen) {
    double chi_square = 0;
    for (const int count : counts) chi_square += (count - 500.0) * (count - 500.0) / 500.0;
    EXPECT_LT(chi_square, 63.7);
  }
}

TEST(SecAggGraphDeathTest, OddDegreesAreForCompleteGraphsOnly) {
  EXPECT_DEATH(SecAggGraph(roster(), nonces(8), 5), "");
  EXPECT_DEATH(SecAggGraph(roster(), nonces(8), 8), "");
  EXPECT_DEATH(SecAggGraph(roster(), nonces(8), 0), "");
}

} // namespace
} // namespace coppice
