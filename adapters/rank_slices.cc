// SPDX-License-Identifier: Apache-2.0
#include "adapters/rank_slices.h"

#include <algorithm>
#include <memory>

#include "base/check.h"

namespace coppice {
bool can_be_sliced(const AdapterSpec& spec, std::uint32_t slices) {
  return slices > 0 && std::ranges::all_of(spec.targets, [&](const AdapterTarget& target) {
           return target.rank % slices == 0;
         });
}

AdapterSpec slice_spec(const AdapterSpec& whole, std::uint32_t slices) {
  COPPICE_CHECK(can_be_sliced(whole, slices));
  AdapterSpec spec = whole;
  for (std::size_t t = 0; t < spec.targets.size(); ++t) {
    spec.change_rank(t, spec.targets[t].rank / slices, slices);
  }
  return spec;
}

Adapter slice_of(const Adapter& whole, std::uint32_t slices, std::uint32_t slice) {
  COPPICE_CHECK(slice < slices);
  Adapter made(std::make_shared<const AdapterSpec>(slice_spec(whole.spec(), slices)));
  auto to = made.values().begin();
  for_each_of_slice(whole.spec(), slices, slice, [&](std::size_t first, std::size_t count) {
    to = std::ranges::copy(whole.values().subspan(first, count), to).out;
  });
  return made;
}

std::vector<float> slice_in_place(const AdapterSpec& whole, std::uint32_t slices,
                                  std::uint32_t slice, std::span<const float> values) {
  std::vector<float> all(whole.parameters());
  std::size_t from = 0;
  for_each_of_slice(whole, slices, slice, [&](std::size_t first, std::size_t count) {
    std::ranges::copy(values.subspan(from, count),
                      all.begin() + static_cast<std::ptrdiff_t>(first));
    from += count;
  });
  COPPICE_CHECK(from == values.size());
  return all;
}

AdapterSpec sliced_spec(const AdapterSpec& slice, std::uint32_t slices) {
  AdapterSpec spec = slice;
  for (std::size_t t = 0; t < spec.targets.size(); ++t) {
    spec.change_rank(t, spec.targets[t].rank * slices, 1.0 / slices);
  }
  return spec;
}

Adapter repeat_as_slices(const Adapter& adapter, std::uint32_t slices) {
  Adapter whole(std::make_shared<const AdapterSpec>(sliced_spec(adapter.spec(), slices)));
  for (std::uint32_t slice = 0; slice < slices; ++slice) {
    auto from = adapter.values().begin();
    for_each_of_slice(whole.spec(), slices, slice, [&](std::size_t first, std::size_t count) {
      std::copy_n(from, count, whole.values().begin() + static_cast<std::ptrdiff_t>(first));
      from += static_cast<std::ptrdiff_t>(count);
    });
  }
  return whole;
}

} // namespace coppice
