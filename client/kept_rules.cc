// SPDX-License-Identifier: Apache-2.0
#include "client/kept_rules.h"

#include <algorithm>

#include "adapters/rank_slices.h"
#include "protocol/learning_rates.h"
#include "protocol/plan_encoding.h"

namespace coppice {
namespace {

constexpr FactorChoice kAllA{.a = true, .b = false};
constexpr FactorChoice kAllB{.a = false, .b = true};

// Of a file: 0 for what is no number of clusters.
std::uint32_t number_in(float value) {
  const bool fits = value > 0 && value <= static_cast<float>(limits::kClusters);
  return fits ? static_cast<std::uint32_t>(value) : 0;
}

// Null where there is none of that length.
const std::vector<float>* find(const KeptVectors& kept, const char* name, std::size_t size) {
  const auto found = kept.find(name);
  return found == kept.end() || found->second.size() != size ? nullptr : &found->second;
}

// The chosen factors' values to their places among all.
void put_in_place(const AdapterSpec& spec, FactorChoice choice, std::span<const float> chosen,
                  std::span<float> all) {
  auto from = chosen.begin();
  for_each_chosen(spec, choice, [&](std::size_t first, std::size_t count) {
    std::copy_n(from, count, all.begin() + static_cast<std::ptrdiff_t>(first));
    from += static_cast<std::ptrdiff_t>(count);
  });
}

} // namespace

bool keeps_between_rounds(const RoundPlan& plan) {
  const FactorChoice own = own_factors(plan.recipe);
  return own.a || own.b || plan.recipe.clusters > 1 ||
         plan.recipe.correction != DriftCorrection::kNone || plan.encoding.error_feedback;
}

std::shared_ptr<const Adapter> release_as_used(std::shared_ptr<const Adapter> release,
                                               const KeptVectors& kept) {
  if (const auto* const cluster = find(kept, kKeptCluster, 2)) {
    const auto clusters = number_in((*cluster)[0]);
    const auto own = number_in((*cluster)[1]);
    if (own >= clusters || !can_be_sliced(release->spec(), clusters)) return release;
    return std::make_shared<const Adapter>(slice_of(*release, clusters, own));
  }
  return with_own_factors(std::move(release), kept);
}

std::shared_ptr<const Adapter> with_own_factors(std::shared_ptr<const Adapter> release,
                                                const KeptVectors& kept) {
  const AdapterSpec& spec = release->spec();
  const auto* const a = find(kept, kKeptOwnA, chosen_count(spec, kAllA));
  const auto* const b = find(kept, kKeptOwnB, chosen_count(spec, kAllB));
  if (a == nullptr && b == nullptr) return release;
  Adapter own = *release;
  if (a != nullptr) put_in_place(spec, kAllA, *a, own.values());
  if (b != nullptr) put_in_place(spec, kAllB, *b, own.values());
  return std::make_shared<const Adapter>(std::move(own));
}

std::shared_ptr<const std::vector<float>> gradient_offset_of(const Recipe& recipe,
                                                             const KeptVectors& kept,
                                                             std::span<const float> control,
                                                             std::size_t values) {
  if (recipe.correction == DriftCorrection::kNone) return nullptr;
  const auto* const correction = find(kept, kKeptCorrection, values);
  const bool common =
      recipe.correction == DriftCorrection::kControlVariate && control.size() == values;
  if (correction == nullptr && !common) return nullptr;
  std::vector<float> offset(values);
  if (common) std::ranges::copy(control, offset.begin());
  for (std::size_t i = 0; correction != nullptr && i < values; ++i) offset[i] -= (*correction)[i];
  return std::make_shared<const std::vector<float>>(std::move(offset));
}

namespace {

std::vector<float> correction_after(const Recipe& recipe, const KeptVectors& kept,
                                    const KeptTraining& training) {
  const std::size_t values = training.start.values().size();
  const auto* const before = find(kept, kKeptCorrection, values);
  std::vector<float> correction = before != nullptr ? *before : std::vector<float>(values);
  if (recipe.correction == DriftCorrection::kDynamic) {
    move_dynamic_correction<float>(recipe.proximal_mu, training.start.values(),
                                   training.trained.values(), correction);
    return correction;
  }
  // Of the steps that were taken as of the planned ones, since the delta that leaves is scaled so.
  double rates = planned_rate_sum(recipe);
  if (training.steps > 0) {
    rates *= static_cast<double>(training.steps) / static_cast<double>(planned_steps(recipe));
  }
  const bool common = training.control.size() == values;
  move_control_variate<float>(static_cast<float>(rates), training.start.values(),
                              training.trained.values(),
                              common ? training.control : std::span<const float>{}, correction);
  return correction;
}

} // namespace

KeptVectors kept_after(const Recipe& recipe, const KeptVectors& kept,
                       const KeptTraining& training) {
  KeptVectors after;
  const FactorChoice own = own_factors(recipe);
  const AdapterSpec& spec = training.start.spec();
  const auto trained = training.trained.values();
  if (own.a) after[kKeptOwnA] = chosen_values<float>(spec, kAllA, trained);
  if (own.b) after[kKeptOwnB] = chosen_values<float>(spec, kAllB, trained);
  if (training.cluster) {
    after[kKeptCluster] = {static_cast<float>(recipe.clusters),
                           static_cast<float>(*training.cluster)};
  }
  if (recipe.correction != DriftCorrection::kNone) {
    after[kKeptCorrection] = correction_after(recipe, kept, training);
  }
  return after;
}

std::vector<float> feedback_of(const KeptVectors& kept, std::size_t values) {
  const auto* const feedback = find(kept, kKeptFeedback, values);
  return feedback != nullptr ? *feedback : std::vector<float>{};
}

void add_feedback(const AdapterSpec& spec, const Recipe& recipe, std::span<const float> feedback,
                  std::span<float> delta) {
  if (feedback.empty()) return;
  const auto shared = chosen_values(spec, shared_factors(recipe), feedback);
  COPPICE_CHECK(shared.size() == delta.size());
  for (std::size_t i = 0; i < delta.size(); ++i) delta[i] += shared[i];
}

std::vector<float> feedback_after(const AdapterSpec& spec, const Recipe& recipe,
                                  std::vector<float> feedback, std::span<const float> lost) {
  feedback.resize(spec.parameters());
  put_in_place(spec, shared_factors(recipe), lost, feedback);
  return feedback;
}

} // namespace coppice
