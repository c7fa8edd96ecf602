// SPDX-License-Identifier: Apache-2.0
// Clients' updates for the tests of rules that aggregate them.
#pragma once

#include <bit>
#include <cstdint>
#include <vector>

#include "aggregator/update_rows.h"
#include "base/random.h"

namespace coppice {

using UpdateValues = std::vector<std::vector<float>>; // (clients, parameters)

inline std::vector<UpdateRow> rows_of(const UpdateValues& values) {
  return {values.begin(), values.end()};
}

// Values around `centre`, nearly normal with deviation `spread`.
inline UpdateValues random_updates(std::size_t clients, std::size_t parameters, std::uint64_t seed,
                                   float centre = 0.0F, float spread = 1.0F) {
  KeyedRandom random({.experiment = seed});
  UpdateValues values(clients, std::vector<float>(parameters));
  for (auto& row : values) {
    for (float& value : row) {
      float sum = 0;
      for (int i = 0; i < 12; ++i) sum += random.uniform_float() - 0.5F;
      value = centre + spread * sum;
    }
  }
  return values;
}

// One column a list: every list of `length` values out of `alphabet`.
inline UpdateValues every_list(std::size_t length, const std::vector<float>& alphabet) {
  std::size_t lists = 1;
  for (std::size_t i = 0; i < length; ++i) lists *= alphabet.size();
  UpdateValues values(length, std::vector<float>(lists));
  for (std::size_t list = 0; list < lists; ++list) {
    std::size_t rest = list;
    for (std::size_t place = 0; place < length; ++place) {
      values[place][list] = alphabet[rest % alphabet.size()];
      rest /= alphabet.size();
    }
  }
  return values;
}

inline std::vector<float> column_of(const UpdateValues& values, std::size_t column) {
  std::vector<float> list;
  for (const auto& row : values) list.push_back(row[column]);
  return list;
}

inline std::vector<std::uint64_t> bits_of(const std::vector<double>& values) {
  std::vector<std::uint64_t> bits;
  bits.reserve(values.size());
  for (const double value : values) bits.push_back(std::bit_cast<std::uint64_t>(value));
  return bits;
}

} // namespace coppice
