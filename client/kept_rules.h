// SPDX-License-Identifier: Apache-2.0
// What a round makes of the vectors that a device keeps, by the plan's recipe.
//
//   "correction"  of all of the adapter's values, in their order: FedDyn's gradient, or
//                 SCAFFOLD's control variate
//   "own.a"       the device's own factors A, where the recipe trains them and shares B alone,
//   "own.b"       or B, where it shares A alone; in the order of Adapter::values()
//   "cluster"     two numbers: how many clusters there are, and which is the device's, where the
//                 recipe has some
//   "feedback"    of all of the adapter's values: what uploads lost (adapters/upload_codec.h, Note
//                 [Error feedback]), where the plan asks for it. It is made when the upload is
//                 encoded, after the rest.
//
// Vectors that a recipe has no use for are not kept on: another rule began meanwhile. One of
// another length than the adapter's counts as none. Pure functions, thread-safe.
#pragma once

#include <concepts>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "adapters/adapter.h"
#include "adapters/factor_choice.h"
#include "client/kept_state.h"
#include "protocol/round_plan.h"

namespace coppice {

inline constexpr const char* kKeptCorrection = "correction";
inline constexpr const char* kKeptOwnA = "own.a";
inline constexpr const char* kKeptOwnB = "own.b";
inline constexpr const char* kKeptCluster = "cluster";
inline constexpr const char* kKeptFeedback = "feedback";

// FedDyn (Acar, Zhao, Navarro, Mattina, Whatmough, Saligrama 2021, algorithm 1): device k minimizes
//   L_k(w) - <h_k, w> + alpha/2 |w - w_t|^2,   then   h_k <- h_k - alpha (w_k - w_t)
// which makes h_k the gradient of L_k at w_k; of zeros at first. The quadratic term is
// proximal_mu's; -h_k is added to each step's gradient.
template <std::floating_point T>
void move_dynamic_correction(T alpha, std::span<const T> received, std::span<const T> trained,
                             std::span<T> correction) {
  for (std::size_t i = 0; i < correction.size(); ++i) {
    correction[i] -= alpha * (trained[i] - received[i]);
  }
}

// SCAFFOLD (Karimireddy, Kale, Mohri, Reddi, Stich, Suresh 2020, algorithm 1, option II): device k
// steps along g - c_k + c, then
//   c_k <- c_k - c + (w_t - w_k) / (K r)
// which makes c_k the mean gradient over its steps; of zeros at first. K r stands for the sum of
// the steps' learning rates. `control` (c) may be empty: zeros.
template <std::floating_point T>
void move_control_variate(T rates, std::span<const T> received, std::span<const T> trained,
                          std::span<const T> control, std::span<T> correction) {
  for (std::size_t i = 0; i < correction.size(); ++i) {
    const T common = control.empty() ? T{0} : control[i];
    correction[i] += (received[i] - trained[i]) / rates - common;
  }
}

// Whether devices keep anything between rounds of such plans.
bool keeps_between_rounds(const RoundPlan& plan);

// `release` with the device's own factors in place of its; the same object where there are none.
std::shared_ptr<const Adapter> with_own_factors(std::shared_ptr<const Adapter> release,
                                                const KeptVectors& kept);
// What of a release serves on the device: its cluster's adapter, or that.
std::shared_ptr<const Adapter> release_as_used(std::shared_ptr<const Adapter> release,
                                               const KeptVectors& kept);
// TrainJob::gradient_offset for an adapter of so many values; null where nothing is added.
// `control` is what the release carries for it; empty: nothing, which stands for zeros.
std::shared_ptr<const std::vector<float>> gradient_offset_of(const Recipe& recipe,
                                                             const KeptVectors& kept,
                                                             std::span<const float> control,
                                                             std::size_t values);

struct KeptTraining {
  const Adapter& start; // with_own_factors(), or the cluster's
  const Adapter& trained;
  std::uint64_t steps = 0;
  std::span<const float> control{}; // as above
  std::optional<std::uint32_t> cluster{};
};
// What is kept after a training, but for the feedback.
KeptVectors kept_after(const Recipe& recipe, const KeptVectors& kept, const KeptTraining& training);

// What uploads lost so far, of so many values; empty where there is nothing.
std::vector<float> feedback_of(const KeptVectors& kept, std::size_t values);
// Adds to a delta of what the recipe shares what earlier ones lost of it. `feedback` may be empty.
void add_feedback(const AdapterSpec& spec, const Recipe& recipe, std::span<const float> feedback,
                  std::span<float> delta);
// What is lost in all after an upload that lost so much of what the recipe shares; what it doesn't
// share waits on.
std::vector<float> feedback_after(const AdapterSpec& spec, const Recipe& recipe,
                                  std::vector<float> feedback, std::span<const float> lost);

} // namespace coppice
