// SPDX-License-Identifier: Apache-2.0
#include "sim/paired_difference.h"

#include <vector>

#include "base/result.h"
#include "sim/student_t.h"

namespace coppice {
namespace {

constexpr double kUpperLevel = 0.975; // 2.5 % beyond each end

} // namespace

MeanInterval mean_interval(std::span<const double> values) {
  MeanInterval found;
  double sum = 0;
  for (const double value : values) {
    if (!std::isfinite(value)) continue;
    ++found.count;
    sum += value;
  }
  if (found.count == 0) return found;
  const auto count = static_cast<double>(found.count);
  found.mean = sum / count;
  if (found.count < 2) return found;
  double squares = 0;
  for (const double value : values) {
    if (std::isfinite(value)) squares += (value - found.mean) * (value - found.mean);
  }
  found.half_width =
      student_t_quantile(kUpperLevel, count - 1) * std::sqrt(squares / (count - 1) / count);
  return found;
}

MeanInterval paired_difference(std::span<const double> values, std::span<const double> reference) {
  COPPICE_CHECK(values.size() == reference.size());
  std::vector<double> differences;
  differences.reserve(values.size());
  for (std::size_t i = 0; i < values.size(); ++i) differences.push_back(values[i] - reference[i]);
  return mean_interval(differences);
}

} // namespace coppice
