// SPDX-License-Identifier: Apache-2.0
#include "aggregator/fetch_queue.h"

#include <algorithm>

namespace coppice {

std::vector<FetchQueue::Turn> FetchQueue::fill(Millis now) {
  std::vector<Turn> turns;
  while (active_.size() < turns_ && !waiting_.empty()) {
    active_.emplace(waiting_.front().client, now);
    turns.push_back(std::move(waiting_.front()));
    waiting_.pop_front();
  }
  return turns;
}

std::vector<FetchQueue::Turn> FetchQueue::ask(const ClientId& client, const Fetch& fetch,
                                              Millis now) {
  const auto active = active_.find(client);
  if (active != active_.end()) {
    active->second = now;
    return {{client, fetch}};
  }
  const auto queued = std::ranges::find(waiting_, client, &Turn::client);
  if (queued != waiting_.end()) {
    queued->fetch = fetch;
  } else {
    waiting_.push_back({client, fetch});
  }
  return fill(now);
}

std::vector<FetchQueue::Turn> FetchQueue::done(const ClientId& client, Millis now) {
  active_.erase(client);
  return fill(now);
}

std::vector<FetchQueue::Turn> FetchQueue::drop(const ClientId& client, Millis now) {
  active_.erase(client);
  std::erase_if(waiting_, [&](const Turn& turn) { return turn.client == client; });
  return fill(now);
}

std::vector<FetchQueue::Turn> FetchQueue::expire(Millis now) {
  std::erase_if(active_, [&](const auto& entry) { return now - entry.second > patience_; });
  return fill(now);
}

} // namespace coppice
