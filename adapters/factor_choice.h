// SPDX-License-Identifier: Apache-2.0
// Vectors over all values of an adapter, and over those of its A or B factors alone.
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
};

// The values of the chosen factors; `all` has spec.parameters().
template <typename T>
std::vector<T> chosen_values(const AdapterSpec& spec, FactorChoice choice, std::span<const T> all) {
  COPPICE_CHECK(all.size() == spec.parameters());
  std::vector<T> chosen;
  chosen.reserve(all.size());
  const auto take = [&](std::size_t count, bool wanted) {
    if (wanted)
      chosen.insert(chosen.end(), all.begin(), all.begin() + static_cast<std::ptrdiff_t>(count));
    all = all.subspan(count);
  };
  for (const AdapterTarget& target : spec.targets) {
    take(target.a_elements(), choice.a);
    take(target.b_elements(), choice.b);
  }
  return chosen;
}

// The inverse, with zeros for the factors that weren't chosen.
template <typename T>
std::vector<T> all_values(const AdapterSpec& spec, FactorChoice choice, std::vector<T> chosen) {
  if (choice.a && choice.b) return chosen;
  std::vector<T> all(spec.parameters());
  std::size_t from = 0;
  std::size_t to = 0;
  const auto put = [&](std::size_t count, bool was_chosen) {
    if (was_chosen) {
      COPPICE_CHECK(count <= chosen.size() - from);
      std::copy_n(chosen.begin() + static_cast<std::ptrdiff_t>(from), count,
                  all.begin() + static_cast<std::ptrdiff_t>(to));
      from += count;
    }
    to += count;
  };
  for (const AdapterTarget& target : spec.targets) {
    put(target.a_elements(), choice.a);
    put(target.b_elements(), choice.b);
  }
  COPPICE_CHECK(from == chosen.size());
  return all;
}

} // namespace coppice
