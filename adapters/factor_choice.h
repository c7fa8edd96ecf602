// SPDX-License-Identifier: Apache-2.0
// Vectors over all values of an adapter, and over those of its A or B factors alone, or of their
// first ranks.
//
// Both are in the order of Adapter::values(). Pure; thread-safe.
#pragma once

#include <algorithm>
#include <span>
#include <vector>

#include "adapters/adapter_spec.h"
#include "base/check.h"

namespace coppice {

struct FactorChoice {
  bool a = true;
  bool b = true;
  std::uint32_t rank = 0; // the first so many rows of A and columns of B; 0: all

  // How many of the target's rank.
  std::uint32_t rank_of(const AdapterTarget& target) const {
    return rank == 0 ? target.rank : std::min(rank, target.rank);
  }
  std::size_t a_elements(const AdapterTarget& target) const {
    return a ? std::size_t{rank_of(target)} * target.in : 0;
  }
  std::size_t b_elements(const AdapterTarget& target) const {
    return b ? std::size_t{rank_of(target)} * target.out : 0;
  }
};

// Calls run(first, count) for each run of chosen values, in order: places in Adapter::values().
template <typename Run>
void for_each_chosen(const AdapterSpec& spec, FactorChoice choice, const Run& run) {
  std::size_t at = 0;
  for (const AdapterTarget& target : spec.targets) {
    if (choice.a) run(at, choice.a_elements(target));
    at += target.a_elements();
    const std::uint32_t rank = choice.rank_of(target);
    if (choice.b && rank == target.rank) {
      run(at, target.b_elements());
    } else if (choice.b) {
      for (std::size_t row = 0; row < target.out; ++row) run(at + row * target.rank, rank);
    }
    at += target.b_elements();
  }
}

inline std::size_t chosen_count(const AdapterSpec& spec, FactorChoice choice) {
  std::size_t count = 0;
  for (const AdapterTarget& target : spec.targets) {
    count += choice.a_elements(target) + choice.b_elements(target);
  }
  return count;
}

// The values of the chosen factors; `all` has spec.parameters().
template <typename T>
std::vector<T> chosen_values(const AdapterSpec& spec, FactorChoice choice, std::span<const T> all) {
  COPPICE_CHECK(all.size() == spec.parameters());
  std::vector<T> chosen;
  chosen.reserve(all.size());
  for_each_chosen(spec, choice, [&](std::size_t first, std::size_t count) {
    const auto from = all.subspan(first, count);
    chosen.insert(chosen.end(), from.begin(), from.end());
  });
  return chosen;
}

// The inverse, with zeros for what wasn't chosen.
template <typename T>
std::vector<T> all_values(const AdapterSpec& spec, FactorChoice choice, std::vector<T> chosen) {
  if (choice.a && choice.b && choice.rank == 0) return chosen;
  std::vector<T> all(spec.parameters());
  std::size_t from = 0;
  for_each_chosen(spec, choice, [&](std::size_t first, std::size_t count) {
    COPPICE_CHECK(count <= chosen.size() - from);
    std::copy_n(chosen.begin() + static_cast<std::ptrdiff_t>(from), count,
                all.begin() + static_cast<std::ptrdiff_t>(first));
    from += count;
  });
  COPPICE_CHECK(from == chosen.size());
  return all;
}

} // namespace coppice
