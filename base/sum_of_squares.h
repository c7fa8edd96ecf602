// SPDX-License-Identifier: Apache-2.0
// The square of a vector's L2 norm, in double.
//
// Sixteen sums side by side, in a fixed order: a single one would wait for each addition. The same
// bits at every instruction level. Not finite where a value isn't: squares of finite floats don't
// reach infinity in double. Thread-safe.
#pragma once

#include <span>

namespace coppice {

double sum_of_squares(std::span<const float> values);

} // namespace coppice
