// SPDX-License-Identifier: Apache-2.0
#include "aggregator/cohort.h"

#include <algorithm>
#include <cmath>

#include "base/text.h"

namespace coppice {

std::uint32_t ready_needed(const CohortSettings& settings) {
  return std::max(settings.min_available, settings.min_train);
}

std::uint32_t cohort_size(const CohortSettings& settings, std::size_t ready) {
  const double share = std::ceil(settings.fraction_train * static_cast<double>(ready));
  const auto wanted = std::max(settings.min_train, static_cast<std::uint32_t>(share));
  return std::min({wanted, settings.max_cohort, static_cast<std::uint32_t>(ready)});
}

void Cohort::checked_in(const ClientId& client, Presence presence) {
  present_[client] = std::move(presence);
}

void Cohort::heard(const ClientId& client, Millis now) {
  const auto found = present_.find(client);
  if (found != present_.end()) found->second.last_heard = now;
}

void Cohort::left(const ClientId& client) { present_.erase(client); }

std::vector<ClientId> Cohort::expire(Millis now) {
  std::vector<ClientId> gone;
  for (const auto& [client, presence] : present_) {
    if (now - presence.last_heard > settings_.lease) gone.push_back(client);
  }
  for (const ClientId& client : gone) present_.erase(client);
  return gone;
}

const Presence* Cohort::find(const ClientId& client) const {
  const auto found = present_.find(client);
  return found == present_.end() ? nullptr : &found->second;
}

std::size_t Cohort::ready() const {
  return static_cast<std::size_t>(
      std::ranges::count_if(present_, [](const auto& entry) { return entry.second.ready; }));
}

std::string Cohort::waiting_for() const {
  const std::size_t can = ready();
  const std::uint32_t needed = ready_needed(settings_);
  if (can >= needed) return {};
  return cat(can, " devices are ready of ", connected(), " connected; a round needs ", needed);
}

std::vector<ClientId> Cohort::sample(const std::function<std::uint64_t(std::uint64_t)>& below,
                                     std::span<const ClientId> resting,
                                     std::span<const ClientId> under_way) const {
  std::vector<ClientId> candidates;
  for (const auto& [client, presence] : present_) {
    const bool rests = std::ranges::binary_search(resting, client) ||
                       std::ranges::binary_search(under_way, client);
    if (presence.ready && !rests) candidates.push_back(client);
  }
  if (settings_.poisson) {
    constexpr std::uint64_t kGrain = std::uint64_t{1} << 53U;
    const auto rate = static_cast<std::uint64_t>(settings_.fraction_train * double{kGrain});
    std::erase_if(candidates, [&](const ClientId&) { return below(kGrain) >= rate; });
    return candidates; // sorted, as the map is
  }
  const std::size_t busy = under_way.size();
  const std::size_t at_once = cohort_size(settings_, candidates.size() + busy);
  const std::size_t wanted = std::min(candidates.size(), at_once - std::min(at_once, busy));
  for (std::size_t i = 0; i < wanted; ++i) { // the first steps of a Fisher-Yates shuffle
    std::swap(candidates[i],
              candidates[i + static_cast<std::size_t>(below(candidates.size() - i))]);
  }
  candidates.resize(wanted);
  std::ranges::sort(candidates);
  return candidates;
}

} // namespace coppice
