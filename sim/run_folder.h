// SPDX-License-Identifier: Apache-2.0
// A run's folder: manifest, events, stored adapters, and the state that a killed run goes on from.
//
// events.jsonl grows line by line; the state, written atomically, says how long it was, and what is
// beyond that length when a run is opened again is cut off. One process a folder (lock).
#pragma once

#include <optional>
#include <vector>

#include "aggregator/privacy_ledger.h"
#include "base/file.h"
#include "formats/json.h"
#include "sim/late_round.h"
#include "sim/population.h"
#include "sim/run_log.h"

namespace coppice {

// What the next round follows from.
struct RunState {
  std::uint64_t rounds = 0; // played
  Nanos time;
  AdapterVersion version;
  Bytes adapter; // serialize_adapter()'s
  std::vector<SpendRecord> spends;
  Bytes noise;          // of correlated noise
  Bytes strategy;       // StrategyState::encode()'s
  double clip_norm = 0; // where it adapts
  std::uint64_t bytes_up = 0;
  std::uint64_t bytes_down = 0;
  double joules = 0;
  std::uint64_t tokens = 0; // trained by all clients together
  std::vector<Sha256> releases;
  std::uint64_t event_bytes = 0; // of events.jsonl
  bool ended = false;
  std::vector<LateRound> late; // uploads under way, or that wait for a release; oldest round first
};

// With the rows of the population that differ from a fresh one's; a SHA-256 stands at the end.
Bytes encode_state(const RunState& state, const Population& population);
// Sets the rows too. kCorrupt, kUnsupported for another version.
Result<RunState> decode_state(ByteSpan bytes, Population& population);

class RunFolder {
 public:
  // Makes it. kAlreadyExists where one is.
  static Result<RunFolder> create(const fs::path& path, const Json& manifest);
  // kNotFound without a manifest; kFailedPrecondition while another process has it.
  static Result<RunFolder> open(const fs::path& path);

  // Without taking the folder.
  static Result<Json> read_manifest(const fs::path& path);

  const fs::path& path() const { return path_; }
  const Json& manifest() const { return manifest_; }
  Result<void> add_to_manifest(const Json& fields);

  Result<void> add_event(const Json& event); // durable with the next store()
  Result<void> add_timing(const Json& line); // wall time, outside the fingerprint
  // The rows that differ from a fresh population's are kept.
  Result<void> store(RunState& state, const Population& population);
  // Nothing where the run never stored one; otherwise the rows are set too.
  Result<std::optional<RunState>> restore(Population& population);
  Result<Sha256> events_hash() const;

 private:
  RunFolder(fs::path path, FileLock lock) : path_(std::move(path)), lock_(std::move(lock)) {}
  fs::path path_;
  FileLock lock_;
  Json manifest_;
  std::string unwritten_; // events since the last store()
  std::uint64_t written_ = 0;
};

} // namespace coppice
