// SPDX-License-Identifier: Apache-2.0
#include "model/native/rope.h"

#include <cmath>

#include "model/quantized_blocks.h"

namespace coppice::native {
namespace {

std::vector<double> divisors(const BaseModel& base, const char* tensor, std::size_t pairs) {
  std::vector<float> values(pairs, 1.0F);
  if (base.file().has_tensor(tensor)) {
    const GgufTensor& found = *base.file().find_tensor(tensor).value();
    dequantize_row(found.type, found.data, values);
  }
  return {values.begin(), values.end()};
}

} // namespace

RopeTables::RopeTables(const BaseModel& base)
    : config_(base.config()), pairs_(config_.rope_width / 2) {
  const bool long_rope = config_.rope.short_context > 0;
  global_ = {.config = config_.rope,
             .divisors = divisors(
                 base, long_rope ? "rope_factors_short.weight" : "rope_freqs.weight", pairs_)};
  long_ = {.config = config_.rope, .divisors = divisors(base, "rope_factors_long.weight", pairs_)};
  local_ = {.config = config_.local_rope, .divisors = std::vector<double>(pairs_, 1.0)};
}

void RopeTables::ensure(std::size_t positions) {
  if (positions <= positions_) return;
  for (Table* table : {&global_, &long_, &local_}) {
    const bool used = table == &global_ || (table == &long_ && config_.rope.short_context > 0) ||
                      (table == &local_ && config_.has_local_rope);
    if (!used) continue;
    table->cosines.resize(positions * pairs_);
    table->sines.resize(positions * pairs_);
    for (std::size_t pair = 0; pair < pairs_; ++pair) {
      const double exponent = -2.0 * static_cast<double>(pair) / config_.rope_width;
      const double frequency = std::pow(double{table->config.base}, exponent) /
                               (table->divisors[pair] * double{table->config.linear_factor});
      for (std::size_t position = positions_; position < positions; ++position) {
        const double angle = static_cast<double>(position) * frequency;
        const double magnitude = table->config.magnitude;
        table->cosines[position * pairs_ + pair] = static_cast<float>(magnitude * std::cos(angle));
        table->sines[position * pairs_ + pair] = static_cast<float>(magnitude * std::sin(angle));
      }
    }
  }
  positions_ = positions;
}

const RopeTables::Table& RopeTables::table(std::uint32_t layer, std::size_t tokens) const {
  if (config_.has_local_rope && config_.has_window(layer)) return local_;
  const std::uint32_t limit = config_.rope.short_context;
  return limit > 0 && tokens > limit ? long_ : global_;
}

void RopeTables::rotate(std::uint32_t layer, std::size_t position, std::size_t tokens, float sign,
                        std::size_t heads, float* row) const {
  if (!config_.rotates(layer)) return;
  const Table& angles = table(layer, tokens);
  const RopeShape shape{.heads = heads, .head_width = config_.head_width, .pairs = pairs_};
  const auto turn = config_.rope_order == RopeOrder::kHalves ? rotate_halves_row : rotate_row;
  turn(row, angles.cosines.data() + position * pairs_, angles.sines.data() + position * pairs_,
       sign, shape, row);
}

} // namespace coppice::native
