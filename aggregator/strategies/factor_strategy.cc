// SPDX-License-Identifier: Apache-2.0
#include "aggregator/strategies/factor_strategy.h"

#include <algorithm>

namespace coppice {
namespace {

// Some ranks of a target of an adapter: rows of A, columns of B.
Product ranks_of(const Adapter& adapter, std::size_t target, std::size_t first, std::size_t count) {
  const AdapterTarget& shape = adapter.spec().targets[target];
  Product cut{.out = shape.out, .in = shape.in, .rank = count, .b = {}, .a = {}};
  const auto a = adapter.a(target).subspan(first * shape.in, count * shape.in);
  cut.a.assign(a.begin(), a.end());
  cut.b.reserve(count * shape.out);
  for (std::size_t row = 0; row < shape.out; ++row) {
    const auto b = adapter.b(target).subspan(row * shape.rank + first, count);
    cut.b.insert(cut.b.end(), b.begin(), b.end());
  }
  return cut;
}

// A device's part of a sum: of one target, times its weight.
struct DevicePart {
  double weight;
  std::span<const double> a;
  std::span<const double> b;
};

// In an order of what they hold: who is in which group follows from names, and sums of doubles from
// their order. So the same updates give the same bits, whoever sent which.
std::vector<DevicePart> parts_of(const RoundInput& round, std::size_t target) {
  const AdapterTarget& shape = round.current.spec().targets[target];
  const auto start =
      static_cast<std::size_t>(round.current.a(target).data() - round.current.values().data());
  std::vector<DevicePart> parts;
  for (const RoundSum& sum : round.groups) {
    if (!(sum.weight > 0)) continue;
    const auto values = std::span(sum.delta).subspan(start);
    parts.push_back({sum.weight, values.first(shape.a_elements()),
                     values.subspan(shape.a_elements(), shape.b_elements())});
  }
  std::ranges::sort(parts, [](const DevicePart& left, const DevicePart& right) {
    if (left.weight != right.weight) return left.weight < right.weight;
    if (!std::ranges::equal(left.a, right.a)) {
      return std::ranges::lexicographical_compare(left.a, right.a);
    }
    return std::ranges::lexicographical_compare(left.b, right.b);
  });
  return parts;
}

TargetRound target_round(const RoundInput& round, std::size_t target) {
  const AdapterTarget& shape = round.current.spec().targets[target];
  const std::uint32_t wanted = round.plan.recipe.trained_rank;
  TargetRound made{.round = round,
                   .target = target,
                   .trained = wanted == 0 ? shape.rank : std::min(wanted, shape.rank),
                   .scale = static_cast<double>(round.current.spec().scale(target)),
                   .devices = {},
                   .shares = {}};
  const Product before = made.current();
  double total = 0;
  for (const auto& [weight, a, b] : parts_of(round, target)) {
    Product& device = made.devices.emplace_back(before);
    for (std::size_t i = 0; i < device.a.size(); ++i) {
      device.a[i] += static_cast<float>(a[i] / weight);
    }
    for (std::size_t row = 0; row < shape.out; ++row) {
      for (std::size_t k = 0; k < made.trained; ++k) {
        device.b[row * made.trained + k] += static_cast<float>(b[row * shape.rank + k] / weight);
      }
    }
    made.shares.push_back(weight);
    total += weight;
  }
  for (double& share : made.shares) share /= total;
  return made;
}

// Next minus present, of A and of B.
struct TargetStep {
  std::vector<double> a;
  std::vector<double> b;
};

TargetStep step_to(const NextFactors& next, const TargetRound& of) {
  const AdapterTarget& shape = of.shape();
  const Adapter& current = of.round.current;
  TargetStep step{.a = std::vector<double>(shape.a_elements()),
                  .b = std::vector<double>(shape.b_elements())};
  const auto place = [&](const Product& product, std::size_t first, double scale) {
    for (std::size_t i = 0; i < product.a.size(); ++i) {
      step.a[first * shape.in + i] = static_cast<double>(product.a[i]);
    }
    for (std::size_t row = 0; row < shape.out; ++row) {
      for (std::size_t k = 0; k < product.rank; ++k) {
        step.b[row * shape.rank + first + k] =
            static_cast<double>(product.b[row * product.rank + k]) / scale;
      }
    }
  };
  place(next.trained, 0, 1);
  place(next.patch, of.trained, of.scale);
  for (std::size_t i = 0; i < step.a.size(); ++i) {
    step.a[i] -= static_cast<double>(current.a(of.target)[i]);
  }
  for (std::size_t i = 0; i < step.b.size(); ++i) {
    step.b[i] -= static_cast<double>(current.b(of.target)[i]);
  }
  return step;
}

} // namespace

Product TargetRound::current() const { return ranks_of(round.current, target, 0, trained); }
Product TargetRound::patch() const {
  return ranks_of(round.current, target, trained, patch_rank());
}
std::vector<ProductView> TargetRound::parts() const {
  std::vector<ProductView> views;
  for (std::size_t i = 0; i < devices.size(); ++i) {
    views.push_back(devices[i].view(shares[i] * scale));
  }
  return views;
}

void FactorStrategy::prepare(RoundPlan& plan) const {
  plan.sum.groups = buckets_of(bucket_, plan.sum.cohort);
}

Result<std::vector<double>> FactorStrategy::step(const RoundInput& round,
                                                 StrategyState& state) const {
  std::vector<double> whole;
  whole.reserve(round.current.values().size());
  COPPICE_TRY(step_by_slot(round, state, [&whole](std::span<const double> slot) -> Result<void> {
    whole.insert(whole.end(), slot.begin(), slot.end());
    return {};
  }));
  return whole;
}

Result<void> FactorStrategy::step_by_slot(const RoundInput& round, StrategyState&,
                                          const TakeSlot& take) const {
  double energy = 0;
  double dropped = 0;
  bool patched = false;
  for (std::size_t target = 0; target < round.current.targets(); ++target) {
    const TargetRound of = target_round(round, target);
    if (of.devices.empty()) {
      return Error{ErrorCode::kFailedPrecondition, "no device's update has any weight"};
    }
    const auto made = next(of);
    // What can't be computed with is the round's misfortune, whatever the algebra calls it.
    if (!made.ok()) return Error{ErrorCode::kFailedPrecondition, made.error().message};
    patched = patched || of.patch_rank() > 0;
    energy += made->energy;
    dropped += made->dropped;
    const TargetStep step = step_to(*made, of);
    COPPICE_TRY(take(step.a));
    COPPICE_TRY(take(step.b));
  }
  if (patched && round.metrics != nullptr) {
    round.metrics->push_back({kMetricPatchDropped, energy > 0 ? dropped / energy : 0.0});
  }
  return {};
}

} // namespace coppice
