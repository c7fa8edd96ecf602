// SPDX-License-Identifier: Apache-2.0
#include "protocol/slot_shapes.h"

#include <algorithm>

#include "base/text.h"
#include "protocol/plan_encoding.h"

namespace coppice {
namespace {

constexpr RingBits kScalarBits{32}; // of weight and metrics: one element each, so width is free

struct Metric {
  const char* name;
  double lowest;
  double highest;
};
constexpr Metric kMetrics[] = {
    {kMetricLossBefore, 0,
     20}, // ln(vocabulary) is about 12 for the largest: 20 is worse than chance
    {kMetricLossAfter, 0, 20},
    {kMetricReleaseKept, 0, 1},
    {kMetricExamples, 0, 1e6},
};
constexpr Metric kClipped{kMetricClipped, 0, 1};
// F^q + q F^(q-1) |delta|^2 / rate: of usual rates, losses and clips some hundreds.
constexpr double kMostCurvature = 1e4;

} // namespace

Result<std::vector<Slot>> slot_shapes(const AdapterSpec& spec, const Recipe& recipe,
                                      const SumTerms& sum, const EncodingTerms& encoding) {
  COPPICE_TRY(spec.validate());
  if (spec.parameters() > limits::kParameters) {
    return plan_refusal("slots", "hold ", spec.parameters(), " parameters, at most ",
                        limits::kParameters,
                        " may leave a device; lower the rank or the number of targets");
  }
  std::vector<Slot> slots;
  const auto add = [&slots](std::string name, SlotKind kind, std::size_t elements) {
    slots.push_back({.name = std::move(name),
                     .kind = kind,
                     .elements = static_cast<std::uint32_t>(elements),
                     .bits = kScalarBits});
  };
  const auto add_metric = [&](const Metric& metric) {
    add(metric.name, SlotKind::kMetric, 1);
    slots.back().lowest = metric.lowest;
    slots.back().highest = metric.highest;
  };
  const FactorChoice shared = shared_factors(recipe);
  std::size_t first = 0;
  const auto add_delta = [&](std::string name, std::size_t elements) {
    add(std::move(name), SlotKind::kDelta, encoding.turn.count(first, elements));
    first += elements;
  };
  for (const AdapterTarget& target : spec.targets) {
    if (recipe.core) {
      add_delta(target.tensor + ".core", std::size_t{target.rank} * target.rank);
      continue;
    }
    if (recipe.share_a) add_delta(target.tensor + ".lora_a", shared.a_elements(target));
    if (recipe.share_b) add_delta(target.tensor + ".lora_b", shared.b_elements(target));
  }
  add("weight", SlotKind::kWeight, 1);
  for (const Metric& metric : kMetrics) add_metric(metric);
  if (encoding.count_clipped) add_metric(kClipped);
  if (recipe.normalize_by_steps) {
    const double most = static_cast<double>(planned_steps(recipe)) * sum.max_weight;
    add_metric({kMetricSteps, 0, std::max(1.0, most)});
  }
  if (recipe.loss_power > 0) {
    add_metric({kMetricCurvature, 0, kMostCurvature * sum.max_weight});
  }
  for (std::uint32_t c = 0; recipe.clusters > 1 && c < recipe.clusters; ++c) {
    add(cluster_metric(c), SlotKind::kMetric, 1);
    slots.back().highest = sum.max_weight;
  }
  if (slots.size() > limits::kSlots) {
    return plan_refusal("slots", "number ", slots.size(), ", at most ", limits::kSlots,
                        " are allowed; adapt fewer modules");
  }
  for (const Slot& slot : slots) {
    if (slot.name.size() > limits::kSlotName) {
      return plan_refusal("slots", "have a name of over ", limits::kSlotName,
                          " bytes: ", slot.name);
    }
  }
  return slots;
}

} // namespace coppice
