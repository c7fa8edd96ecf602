// SPDX-License-Identifier: Apache-2.0
// An eventfd: any thread signals, one thread polls it beside its sockets. signal() is thread-safe.
#pragma once

namespace coppice {

class WakeEvent {
 public:
  WakeEvent();
  WakeEvent(const WakeEvent&) = delete;
  WakeEvent& operator=(const WakeEvent&) = delete;
  ~WakeEvent();
  int descriptor() const { return descriptor_; } // -1 if the system gave none
  void signal();
  void drain();

 private:
  int descriptor_;
};

} // namespace coppice
