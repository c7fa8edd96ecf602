// SPDX-License-Identifier: Apache-2.0
#include "adapters/factored_rank.h"

#include <algorithm>
#include <array>
#include <span>

#include "adapters/factored_svd.h"
#include "base/check.h"

namespace coppice {
namespace {

// |s B A - s' B' A'|^2 / |s B A|^2 of a target, from the factors as they were stored.
Result<double> lost_share(const ProductView& before, const ProductView& after) {
  const double norm = COPPICE_TRY(sum_norm(std::span(&before, 1)));
  std::array difference = {before, after};
  difference[1].scale = -after.scale;
  const double lost = COPPICE_TRY(sum_norm(difference));
  return norm > 0 ? lost * lost / (norm * norm) : 0.0;
}

} // namespace

Result<RankChange> with_rank(const Adapter& adapter, std::uint32_t rank, RankCut cut,
                             std::optional<std::uint64_t> seed) {
  AdapterSpec spec = adapter.spec();
  for (AdapterTarget& target : spec.targets) target.rank = rank;
  COPPICE_TRY(spec.validate());
  auto shared = std::make_shared<const AdapterSpec>(std::move(spec));
  RankChange change{.adapter = seed ? Adapter::initial(shared, *seed) : Adapter(shared),
                    .lost_energy = {}};
  for (std::size_t t = 0; t < adapter.targets(); ++t) {
    const ProductView before = product_of(adapter, t);
    const bool shrinks = rank < before.rank;
    // The factors whose prefix is kept, with s / s' as their scale where they are the old ones.
    Product best;
    ProductView source = before;
    if (shrinks && cut == RankCut::kBest) {
      best = COPPICE_TRY(recompress(std::span(&before, 1), rank, Balance::kSplit)).product;
      source = best.view();
    }
    COPPICE_TRY(validate_parts(std::span(&source, 1)));
    const double factor = source.scale / static_cast<double>(shared->scale(t));
    const std::size_t kept = std::min<std::size_t>(rank, source.rank);
    std::ranges::copy(source.a.first(kept * source.in), change.adapter.a(t).begin());
    const auto b = change.adapter.b(t); // zero so far
    for (std::size_t row = 0; row < source.out; ++row) {
      for (std::size_t k = 0; k < kept; ++k) {
        b[row * rank + k] =
            static_cast<float>(factor * static_cast<double>(source.b[row * source.rank + k]));
      }
    }
    change.lost_energy.push_back(
        shrinks ? COPPICE_TRY(lost_share(before, product_of(change.adapter, t))) : 0.0);
  }
  return change;
}

} // namespace coppice
