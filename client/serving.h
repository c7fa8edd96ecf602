// SPDX-License-Identifier: Apache-2.0
// What the device serves with, kept on its disk: the gate's decision, the personal adapter, the
// report, and the file for llama.cpp.
//
// Where the device keeps factors of its own between rounds (client/kept_rules.h), all of this is
// about the release with them in place. The personal adapter belongs to that and to one [personal]
// method; another release, other factors or another method make it stale, and it is set aside until
// it is trained anew. Not thread-safe: one worker uses it.
#pragma once

#include <atomic>
#include <optional>
#include <string>

#include "client/device_folder.h"
#include "client/gate.h"
#include "formats/json.h"

namespace coppice {

struct PersonalAdapter {
  Adapter adapter;
  Sha256 stands_on; // personal_ground() of the adapter that it was trained from
};

class Serving {
 public:
  Serving(const DeviceFolder& folder, const ClientSettings& settings)
      : folder_(folder), settings_(settings) {}

  Result<std::optional<PersonalAdapter>> personal() const;
  // Trains a personal adapter from `shared` and stores it.
  // When it is stopped, the next call for that release goes on from there.
  Result<TrainOutcome> train_personal(Engine& engine, const SharedAdapter& shared,
                                      const ExampleSet& examples, std::function<Millis()> now,
                                      const std::atomic<bool>* stop) const;
  // Scores, decides, stores the decision, and writes current/adapter.gguf.
  Result<GateOutcome> gate(Engine& engine, const SharedAdapter& shared,
                           const ExampleSet& examples) const;
  Result<Report> report(Engine& engine, const SharedAdapter& shared,
                        const ExampleSet& examples) const;

  std::optional<GateOutcome> last_gate() const;
  // The adapters that serve now, as one (for export): none if the base serves.
  Result<std::optional<Adapter>> served_adapter(const SharedAdapter& shared) const;

 private:
  // A release as this device has it.
  struct Below {
    std::shared_ptr<const Adapter> adapter;
    Sha256 hash; // of serialize_adapter()
  };
  Result<Below> with_own(const SharedAdapter& shared) const;
  Result<std::optional<PersonalAdapter>> fresh_personal(const Below& on) const;
  Candidates candidates(const Below& on, const std::optional<PersonalAdapter>& personal) const;
  Result<void> write_current(const Below& on, Served served) const;

  const DeviceFolder& folder_;
  const ClientSettings& settings_;
};

} // namespace coppice
