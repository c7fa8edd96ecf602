// SPDX-License-Identifier: Apache-2.0
#include "adapters/upload_codec.h"

#include <cmath>
#include <numeric>

#include "base/check.h"
#include "base/random.h"
#include "base/text.h"

namespace coppice {
namespace {

// RandomKey::step, which tells these draws from the rotation's: both are public.
constexpr std::uint64_t kTurns = 0x7475726e;

} // namespace

double level_scale(std::uint32_t levels, double bound) {
  COPPICE_CHECK(bound > 0);
  double scale = levels / bound;
  while (scale * bound > levels) scale = std::nextafter(scale, 0.0);
  return scale;
}

Result<RingBits> fewest_ring_bits(std::uint32_t levels, std::uint64_t clients,
                                  std::uint64_t max_weight) {
  for (std::uint32_t bits = kFewestRingBits; bits <= 32; ++bits) {
    if (ring_cannot_wrap(RingBits{bits}, clients, max_weight, levels, 1)) return RingBits{bits};
  }
  return Error{
      ErrorCode::kInvalidArgument,
      cat("a sum of ", clients, " devices with weights up to ", max_weight, ", each of ", levels,
          " levels on each side of zero, fits no ring of 32 bits; use a smaller cohort or "
          "max_weight, or a codec of fewer levels")};
}

std::uint32_t turns_of_share(double share) {
  COPPICE_CHECK(share > 0 && share <= 1);
  // 0.1 in binary is above a tenth by less than this.
  return static_cast<std::uint32_t>(std::ceil(1 / share - 1e-9));
}

Turn turn_of_round(std::uint64_t seed, std::uint64_t round, std::uint32_t turns) {
  COPPICE_CHECK(round > 0 && turns > 0);
  std::vector<std::uint32_t> order(turns);
  std::iota(order.begin(), order.end(), 0U);
  KeyedRandom({.experiment = seed,
               .round = (round - 1) / turns,
               .purpose = RandomPurpose::kRotation,
               .step = kTurns})
      .shuffle(std::span(order));
  return {.turns = turns, .turn = order[(round - 1) % turns]};
}

std::vector<float> values_in_turn(std::vector<float> all, Turn turn) {
  if (turn.turns == 1) return all;
  std::vector<float> sent;
  sent.reserve(turn.count(0, all.size()));
  for (std::size_t i = turn.turn; i < all.size(); i += turn.turns) sent.push_back(all[i]);
  return sent;
}

std::vector<double> spread_in_turn(std::vector<double> sent, Turn turn, std::size_t size) {
  COPPICE_CHECK(sent.size() == turn.count(0, size));
  if (turn.turns == 1) return sent;
  std::vector<double> all(size);
  std::size_t at = turn.turn;
  for (const double value : sent) {
    all[at] = value;
    at += turn.turns;
  }
  return all;
}

} // namespace coppice
