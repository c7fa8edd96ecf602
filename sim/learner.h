// SPDX-License-Identifier: Apache-2.0
// What virtual clients learn in a round: the deltas, made by workers while virtual time goes on.
//
// The round's play says early whose delta it will need (expect), in an order of its own, and asks
// for each when its upload arrives (take). What comes out follows from the plan, the start and
// these calls in their order, never from workers, ranks or time on the wall. For one thread.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "client/upload_builder.h"
#include "sim/population.h"

namespace coppice {

struct Assignment {
  DeviceNumber device = 0;
  ClientId id;
  Millis started;  // on the device's clock: what the recipe's and the plan's times count from
  Millis deadline; // training ends here, whatever is left
  Nanos step_time; // of one optimizer step on this device
  Nanos arrives;   // about when the delta is needed
};

struct Learned {
  EncodedDelta encoded;
  std::optional<std::vector<float>> delta; // before the clip, of a few devices a round, for figures
  std::uint64_t tokens = 0;                // trained
  bool elsewhere = false; // by another rank: zeros here, and the ranks' sums are added up
};

class Learner {
 public:
  virtual ~Learner() = default;
  // `start` and `plan` must outlive end(). `control` is RoundTrainer::Job's.
  virtual void begin(const RoundPlan& plan, const Adapter& start,
                     std::shared_ptr<const std::vector<float>> control) = 0;
  virtual void expect(const Assignment& assignment) = 0;
  // Waits for it. Errors are of the client's text or training: that client drops out.
  virtual Result<Learned> take(DeviceNumber device) = 0;
  virtual void end() = 0; // what nobody took is dropped
};

// Zeros, at once.
std::unique_ptr<Learner> idle_learner();

} // namespace coppice
