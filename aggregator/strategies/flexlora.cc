// SPDX-License-Identifier: Apache-2.0
// FlexLoRA (Bai et al. 2024, algorithm 1) at one rank: the devices' products are averaged, and the
// adapter becomes the best of its rank that there is for their mean:
//
//   B', A' = argmin of rank r |sum_k p_k B_k A_k - B A|,   p_k = n_k / sum n
//
// by factored QR and SVD (adapters/factored_svd.h), never a matrix of the base's size. A's rows
// come out orthonormal, so that a direction which nobody used can still be learned. It needs each
// device's own factors, or the means of buckets of devices, whose factors then count as one's.
#include "adapters/factored_svd.h"
#include "aggregator/strategies/individual.h"
#include "aggregator/strategies/strategies.h"

namespace coppice {
namespace {

class FlexLora final : public Strategy {
 public:
  explicit FlexLora(const StrategySettings& settings) : bucket_(settings.bucket) {}
  Need need() const override { return bucket_ > 1 ? Need::kGroupSum : Need::kIndividual; }
  void prepare(RoundPlan& plan) const override {
    plan.sum.groups = buckets_of(bucket_, plan.sum.cohort);
  }
  Result<std::vector<double>> step(const RoundInput& round, StrategyState&) const override {
    double total = 0;
    std::vector<Adapter> trained;
    std::vector<double> weights;
    for (const RoundSum& sum : round.groups) {
      if (!(sum.weight > 0)) continue;
      Adapter& adapter = trained.emplace_back(round.current);
      for (std::size_t i = 0; i < sum.delta.size(); ++i) {
        adapter.values()[i] += static_cast<float>(sum.delta[i] / sum.weight);
      }
      weights.push_back(sum.weight);
      total += sum.weight;
    }
    if (trained.empty()) {
      return Error{ErrorCode::kFailedPrecondition, "no device's update has any weight"};
    }
    for (double& weight : weights) weight /= total;
    Adapter next = round.current;
    for (std::size_t target = 0; target < next.targets(); ++target) {
      COPPICE_TRY(refactor(trained, weights, target, next));
    }
    std::vector<double> step(next.values().size());
    for (std::size_t i = 0; i < step.size(); ++i) {
      step[i] =
          static_cast<double>(next.values()[i]) - static_cast<double>(round.current.values()[i]);
    }
    return step;
  }

 private:
  static Result<void> refactor(const std::vector<Adapter>& trained,
                               const std::vector<double>& weights, std::size_t target,
                               Adapter& next) {
    std::vector<ProductView> parts;
    for (std::size_t i = 0; i < trained.size(); ++i) {
      parts.push_back(product_of(trained[i], target, weights[i]));
    }
    const std::size_t rank = next.spec().targets[target].rank;
    const auto best = recompress(parts, rank, Balance::kLeft);
    if (!best.ok()) return Error{ErrorCode::kFailedPrecondition, best.error().message};
    if (best->product.rank < rank) return {}; // fewer directions than the rank: nothing to choose
    const auto scale = static_cast<float>(next.spec().scale(target));
    std::ranges::copy(best->product.a, next.a(target).begin());
    for (std::size_t i = 0; i < best->product.b.size(); ++i) {
      next.b(target)[i] = best->product.b[i] / scale;
    }
    return {};
  }

  std::uint32_t bucket_;
};

} // namespace

std::unique_ptr<Strategy> flexlora(const StrategySettings& settings) {
  return std::make_unique<FlexLora>(settings);
}

} // namespace coppice
