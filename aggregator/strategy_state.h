// SPDX-License-Identifier: Apache-2.0
// What a strategy keeps from round to round: momenta, control variates, centres.
//
// Vectors by name, in the order of Adapter::values(). Stored with the release that it belongs to,
// and forgotten when a release is reverted. Plain data.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace coppice {

// The vector of this name travels to devices, as float32, beside each release of a recipe with
// DriftCorrection::kControlVariate.
inline constexpr const char* kControlVector = "control";

struct StrategyState {
  std::uint64_t rounds = 0; // that made a step, this one included while it is made
  std::map<std::string, std::vector<double>> vectors;
  bool operator==(const StrategyState&) const = default;

  // The vector of a name, of `size` zeros at first.
  std::vector<double>& at(const std::string& name, std::size_t size);

  // kControlVector as devices get it; empty where there is none.
  std::vector<float> control() const;

  Bytes encode() const;
  // kCorrupt for what encode() can't have written. No bytes are a fresh state.
  static Result<StrategyState> decode(ByteSpan bytes);
};

} // namespace coppice
