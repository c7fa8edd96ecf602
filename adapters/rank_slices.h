// SPDX-License-Identifier: Apache-2.0
// Several adapters of rank r in one of rank m r: what a fleet of clusters shares (IFCA, Ghosh et
// al. 2020).
//
// Slice c of m is ranks [c r, (c + 1) r) of every target, as an adapter by itself of m times the
// whole's scale. So the whole, taken as one adapter, is the mean of the slices' products: what a
// device gets that has chosen none. Pure; thread-safe.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "adapters/adapter.h"

namespace coppice {

// Whether each target's rank can be cut so.
bool can_be_sliced(const AdapterSpec& spec, std::uint32_t slices);

// The spec that such a slice has. The spec can be sliced.
AdapterSpec slice_spec(const AdapterSpec& whole, std::uint32_t slices);

// One slice; it must be below `slices`.
Adapter slice_of(const Adapter& whole, std::uint32_t slices, std::uint32_t slice);

// The values of a slice in their places among the whole's, and zeros elsewhere.
std::vector<float> slice_in_place(const AdapterSpec& whole, std::uint32_t slices,
                                  std::uint32_t slice, std::span<const float> values);

// The whole whose slices all equal `adapter`. Its spec may be too large to be valid.
AdapterSpec sliced_spec(const AdapterSpec& slice, std::uint32_t slices);
Adapter repeat_as_slices(const Adapter& adapter, std::uint32_t slices);

// Calls run(first, count) for each run of a slice's values, in the slice's order: places in the
// whole's values.
template <typename Run>
void for_each_of_slice(const AdapterSpec& whole, std::uint32_t slices, std::uint32_t slice,
                       const Run& run) {
  std::size_t at = 0;
  for (const AdapterTarget& target : whole.targets) {
    const std::size_t rank = target.rank / slices;
    run(at + slice * rank * target.in, rank * target.in);
    at += target.a_elements();
    for (std::size_t row = 0; row < target.out; ++row) {
      run(at + row * target.rank + slice * rank, rank);
    }
    at += target.b_elements();
  }
}

} // namespace coppice
