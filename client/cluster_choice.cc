// SPDX-License-Identifier: Apache-2.0
#include "client/cluster_choice.h"

#include <algorithm>

#include "adapters/rank_slices.h"

namespace coppice {
namespace {

constexpr std::size_t kTrainingPieces = 8; // of about a kilobyte, where there is no gate text

} // namespace

Result<std::uint32_t> choose_cluster(Engine& engine, const ExampleSet& examples,
                                     const Adapter& release, std::uint32_t clusters,
                                     const RandomKey& key) {
  std::span<const TokenizedDocument> text = examples.gate;
  if (text.empty()) {
    text = std::span(examples.train).first(std::min(kTrainingPieces, examples.train.size()));
  }
  std::vector<double> nats;
  for (std::uint32_t cluster = 0; cluster < clusters; ++cluster) {
    const Adapter slice = slice_of(release, clusters, cluster);
    const AdapterUse use{&slice, 1.0F};
    nats.push_back(COPPICE_TRY(score_documents(engine, {&use, 1}, text)).score.nats);
  }
  const auto [least, most] = std::ranges::minmax_element(nats);
  if (*least < *most) return static_cast<std::uint32_t>(least - nats.begin());
  return static_cast<std::uint32_t>(KeyedRandom(key).below(clusters));
}

} // namespace coppice
