// SPDX-License-Identifier: Apache-2.0
// Events of virtual time, popped in an order that doesn't depend on the order of their insertion.
//
// One binary heap, ordered by (time, device, sequence). A device numbers its own events, so no two
// keys are alike and no key depends on what other devices did before; two alike are a bug, and
// popping them ends the process. So is an event in the past: time never goes back.
// Thread-compatible.
#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "base/check.h"
#include "sim/virtual_time.h"

namespace coppice {

struct EventKey {
  Nanos at;
  std::uint64_t device = 0;
  std::uint64_t sequence = 0; // the device's own count
  auto operator<=>(const EventKey&) const = default;
};

template <typename Payload>
class EventQueue {
 public:
  struct Event {
    EventKey key;
    Payload payload;
  };

  bool empty() const { return heap_.empty(); }
  std::size_t size() const { return heap_.size(); }
  Nanos now() const { return now_; } // of the last event popped; 0 before the first

  void push(const EventKey& key, Payload payload) { // key.at >= now()
    COPPICE_CHECK(key.at >= now_, "an event was pushed into the past");
    heap_.push_back({key, std::move(payload)});
    std::push_heap(heap_.begin(), heap_.end(), Later{});
  }

  const EventKey& next() const { // of a queue that isn't empty
    COPPICE_CHECK(!heap_.empty());
    return heap_.front().key;
  }

  Event pop() { // from a queue that isn't empty
    COPPICE_CHECK(!heap_.empty());
    std::pop_heap(heap_.begin(), heap_.end(), Later{});
    Event event = std::move(heap_.back());
    heap_.pop_back();
    COPPICE_CHECK(heap_.empty() || heap_.front().key != event.key, "two events have one key");
    now_ = event.key.at;
    return event;
  }

 private:
  struct Later { // the heap's front is what nothing is earlier than
    bool operator()(const Event& a, const Event& b) const { return a.key > b.key; }
  };

  std::vector<Event> heap_;
  Nanos now_;
};

} // namespace coppice
