// SPDX-License-Identifier: Apache-2.0
#include "adapters/adapter.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "base/text.h"

namespace coppice {
namespace {

// FNV-1a, 64 bits: turns a target's name into the last number of its random key.
std::uint64_t name_number(std::string_view name) {
  std::uint64_t hash = 0xcbf29ce484222325U;
  for (const char c : name) {
    hash = (hash ^ static_cast<std::uint8_t>(c)) * 0x100000001b3U;
  }
  return hash;
}

} // namespace

Adapter::Adapter(std::shared_ptr<const AdapterSpec> spec) : spec_(std::move(spec)) {
  COPPICE_CHECK(spec_ != nullptr);
  COPPICE_CHECK(spec_->validate().ok(), "an adapter was asked for with a spec that isn't valid");
  offsets_.reserve(spec_->targets.size());
  std::size_t at = 0;
  for (const AdapterTarget& target : spec_->targets) {
    offsets_.push_back(at);
    at += target.a_elements() + target.b_elements();
  }
  values_.assign(at, 0.0F);
}

Adapter Adapter::initial(std::shared_ptr<const AdapterSpec> spec, std::uint64_t seed) {
  Adapter adapter(std::move(spec));
  for (std::size_t t = 0; t < adapter.targets(); ++t) {
    const AdapterTarget& target = adapter.spec().targets[t];
    KeyedRandom random({.experiment = seed,
                        .purpose = RandomPurpose::kInitialAdapter,
                        .step = name_number(target.tensor)});
    const float bound = 1.0F / std::sqrt(static_cast<float>(target.in));
    for (float& value : adapter.a(t)) value = (2.0F * random.uniform_float() - 1.0F) * bound;
  }
  return adapter;
}

std::span<float> Adapter::a(std::size_t target) {
  return std::span(values_).subspan(offsets_[target], spec_->targets[target].a_elements());
}
std::span<const float> Adapter::a(std::size_t target) const {
  return std::span(values_).subspan(offsets_[target], spec_->targets[target].a_elements());
}
std::span<float> Adapter::b(std::size_t target) {
  const AdapterTarget& shape = spec_->targets[target];
  return std::span(values_).subspan(offsets_[target] + shape.a_elements(), shape.b_elements());
}
std::span<const float> Adapter::b(std::size_t target) const {
  const AdapterTarget& shape = spec_->targets[target];
  return std::span(values_).subspan(offsets_[target] + shape.a_elements(), shape.b_elements());
}

bool Adapter::finite() const {
  return std::ranges::all_of(values_, [](float value) { return std::isfinite(value); });
}

Result<std::vector<float>> delta_between(const Adapter& after, const Adapter& before) {
  if (after.shared_spec() != before.shared_spec() && after.spec() != before.spec()) {
    return Error{ErrorCode::kInvalidArgument,
                 "two adapters of different targets, ranks or scales have no delta; compare "
                 "adapters that were trained from the same start"};
  }
  std::vector<float> delta(after.values().size());
  std::ranges::transform(after.values(), before.values(), delta.begin(),
                         [](float end, float start) { return end - start; });
  return delta;
}

} // namespace coppice
