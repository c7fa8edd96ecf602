// SPDX-License-Identifier: Apache-2.0
#include "sim/cluster/heartbeat.h"

#include <algorithm>
#include <charconv>
#include <condition_variable>
#include <mutex>

#include "base/text.h"

namespace coppice::cluster {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::uint32_t kWatched = 64; // ranks that each rank looks at
constexpr char kLostKey[] = "lost";
constexpr char kToldKey[] = "told";

std::string sign_key(std::uint32_t rank) { return cat("sign/", rank); }
std::string sign(std::uint64_t beat, std::uint64_t call) { return cat(beat, " ", call); }

struct Seen {
  std::string sign;
  Clock::time_point changed;
  std::uint64_t call = 0;
};

std::uint64_t call_of(const std::string& sign) {
  std::uint64_t call = 0;
  const std::size_t space = sign.find(' ');
  if (space == std::string::npos) return 0;
  std::from_chars(sign.data() + space + 1, sign.data() + sign.size(), call);
  return call;
}

} // namespace

struct Heartbeat::State {
  State(c10::intrusive_ptr<c10d::Store> opened, const Rendezvous& meeting, Millis quiet)
      : store(std::move(opened)),
        rendezvous(meeting),
        silence(quiet.count),
        interval(std::clamp<std::int64_t>(quiet.count / 5, 20, 2000)),
        contact(Clock::now()) {
    const std::uint32_t size = rendezvous.place.size;
    for (std::uint32_t i = 1; i < size && i <= kWatched; ++i) {
      watched.push_back((rendezvous.place.rank + i) % size);
      keys.push_back(sign_key(watched.back()));
      seen.push_back({"", contact});
    }
  }

  void serve();
  void beat();
  void look(const std::vector<std::vector<std::uint8_t>>& signs);
  std::string store_loss() const {
    return rendezvous.agent_store ? "the launcher's store"
                                  : "rank 0, which holds the store of this run,";
  }

  const c10::intrusive_ptr<c10d::Store> store;
  const Rendezvous rendezvous;
  const std::chrono::milliseconds silence;
  const std::chrono::milliseconds interval;
  std::vector<std::uint32_t> watched;
  std::vector<std::string> keys;

  mutable std::mutex mutex;
  std::condition_variable wake;
  bool closing = false;
  bool ended = false;
  std::uint64_t beats = 0;
  std::uint64_t call = 0;
  std::vector<Seen> seen; // of `watched`
  std::optional<std::string> lost;
  bool acknowledged = false;
  std::int64_t told = 0;     // ranks that know of the loss
  Clock::time_point contact; // with the store, the last
};

void Heartbeat::State::look(const std::vector<std::vector<std::uint8_t>>& signs) {
  const std::lock_guard lock(mutex);
  contact = Clock::now();
  for (std::size_t i = 0; i < seen.size(); ++i) {
    const std::string now(signs[i].begin(), signs[i].end());
    if (now != seen[i].sign) seen[i] = {now, contact, call_of(now)};
    if (!lost && contact - seen[i].changed > silence) {
      lost = cat("rank ", watched[i], " gave no sign of life for ",
                 Millis{std::chrono::milliseconds(silence).count()});
    }
  }
}

void Heartbeat::State::beat() {
  std::string mine;
  {
    const std::lock_guard lock(mutex);
    mine = sign(++beats, call);
  }
  store->set(sign_key(rendezvous.place.rank), mine);
  look(store->multiGet(keys));
  const bool known = store->check({kLostKey});
  std::optional<std::string> found;
  {
    const std::lock_guard lock(mutex);
    found = lost;
  }
  // The first finding counts: who stops because of it falls silent too.
  if (found && !known) store->compareSet(kLostKey, "", *found);
  if (!known && !found) return;
  const std::string first = store->get_to_str(kLostKey);
  const bool again = std::exchange(acknowledged, true);
  const std::int64_t knowing = store->add(kToldKey, again ? 0 : 1);
  const std::lock_guard lock(mutex);
  lost = first;
  told = knowing;
}

void Heartbeat::State::serve() {
  std::unique_lock lock(mutex);
  while (!closing) {
    lock.unlock();
    try {
      beat();
    } catch (const std::exception&) {
      lock.lock();
      if (!lost) lost = store_loss() + " can't be reached any more";
      break;
    }
    lock.lock();
    wake.wait_for(lock, interval, [this] { return closing; });
  }
  ended = true;
  wake.notify_all();
}

Heartbeat::Heartbeat(c10::intrusive_ptr<c10d::Store> store, const Rendezvous& rendezvous,
                     Millis silence)
    : state_(std::make_shared<State>(std::move(store), rendezvous, silence)),
      thread_([state = state_] { state->serve(); }) {}

Heartbeat::~Heartbeat() {
  std::unique_lock lock(state_->mutex);
  state_->closing = true;
  state_->wake.notify_all();
  const bool ended = state_->wake.wait_for(lock, state_->interval + state_->silence,
                                           [this] { return state_->ended; });
  lock.unlock();
  if (ended) {
    thread_.join();
  } else {
    thread_.detach(); // it holds its state
  }
}

void Heartbeat::announce(c10d::Store& store, std::uint32_t rank) {
  store.set(sign_key(rank), sign(0, 0));
}

void Heartbeat::at_call(std::uint64_t number) {
  const std::lock_guard lock(state_->mutex);
  state_->call = number;
}

std::optional<std::string> Heartbeat::loss() const {
  const std::lock_guard lock(state_->mutex);
  if (!state_->lost && Clock::now() - state_->contact > state_->silence + 2 * state_->interval) {
    return state_->store_loss() + " does not answer";
  }
  return state_->lost;
}

std::vector<std::uint32_t> Heartbeat::behind(std::uint64_t number) const {
  const std::lock_guard lock(state_->mutex);
  std::vector<std::uint32_t> ranks;
  for (std::size_t i = 0; i < state_->seen.size(); ++i) {
    if (state_->seen[i].call < number) ranks.push_back(state_->watched[i]);
  }
  std::ranges::sort(ranks);
  return ranks;
}

bool Heartbeat::all_told() const {
  const std::lock_guard lock(state_->mutex);
  return state_->told >= std::int64_t{state_->rendezvous.place.size} - 1;
}

Millis Heartbeat::interval() const { return {state_->interval.count()}; }

} // namespace coppice::cluster
