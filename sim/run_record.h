// SPDX-License-Identifier: Apache-2.0
// A run folder, read: what sim/run_log.h says is in events.jsonl and manifest.json, as plain data.
//
// Numbers that a line leaves out or holds as null are NaN (doubles) or 0 (counts): a run without
// noise has no epsilon, and one that diverged has no loss. Lines of a kind that this version
// doesn't know are skipped, so that older readers read newer runs. A last line without its newline
// is torn, by a SIGKILL say: it is left out and `torn` is true. Bounds: kMostEventBytes a file,
// kMostLineBytes a line, kMostManifestBytes. Plain data.
#pragma once

#include <cmath>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/file.h"

namespace coppice {

inline constexpr std::size_t kMostEventBytes = std::size_t{1} << 30U;
inline constexpr std::size_t kMostLineBytes = std::size_t{64} << 10U;
inline constexpr std::size_t kMostManifestBytes = std::size_t{4} << 20U;

// Devices that were asked and whose delta is not in the sum, by where they were lost.
struct DroppedEvent {
  std::uint64_t answer = 0;
  std::uint64_t training = 0;
  std::uint64_t masking = 0;
  std::uint64_t uploading = 0;
  std::uint64_t unmasking = 0;
  std::uint64_t late = 0;
  std::uint64_t total() const { return answer + training + masking + uploading + unmasking + late; }
};

struct PlayedRoundEvent {
  std::uint64_t round = 0;
  double started_s = NAN; // virtual seconds
  double time_s = 0;      // when it ended
  std::uint64_t asked = 0;
  std::uint64_t accepted = 0;
  std::uint64_t declined = 0;
  std::uint64_t trained = 0;
  std::uint64_t counted = 0; // in the sum
  DroppedEvent dropped;
  double bytes_down = 0; // of this round
  double bytes_up = 0;
  double joules = 0;
  std::vector<std::pair<std::string, double>> metrics; // mean over the round, in the line's order
  bool released = false;
  std::string reason; // why not
  std::uint64_t version = 0;
  std::string release_sha256;
  double epsilon = NAN; // cumulative
  double noise_multiplier = NAN;
  double clip_norm = NAN;
  double clipped = NAN; // share of deltas
  double clamped = NAN; // number of values
  double cosine_mean = NAN;
  double cosine_p10 = NAN;
  double cosine_p90 = NAN;
  double product_gap = NAN;
  std::uint64_t tokens = 0;
  std::uint64_t participants = 0;  // distinct devices in any sum up to here
  double participation_gini = NAN; // of how often devices were
};

struct EvaluationEvent {
  std::uint64_t round = 0;
  double time_s = 0;
  double bytes_up = 0; // cumulative, as are bytes_down, joules and epsilon
  double bytes_down = 0;
  double joules = 0;
  double epsilon = NAN;
  std::string set = {};     // "global", "public", "unseen", "gate"
  std::string adapter = {}; // "base", "shared", "centralized"
  double bits_per_byte = NAN;
  double nats_per_token = NAN;
  std::uint64_t tokens = 0;
  double token_accuracy = NAN;
  double choice_accuracy = NAN;
  double choice_accuracy_by_byte = NAN;
  double exact_match = NAN;
  double rouge_l = NAN;
};

struct ClientEvent {
  std::uint64_t round = 0;
  std::uint64_t client = 0;
  std::string name = {};
  std::string device_class = {};
  bool seen = true; // trained in some round, or could have
  std::uint64_t train_bytes = 0;
  std::uint64_t report_bytes = 0;
  double base = NAN; // bits a byte on its report text
  double shared = NAN;
  double personal = NAN;
  double local = NAN;
  double centralized = NAN; // of one adapter on all clients' text together
  std::string served = {};  // "base", "shared", "personal"
  bool harmed = false;
  bool hostile = false; // its device takes part in the scenario's attack
};

struct EndEvent {
  std::uint64_t rounds = 0;
  std::uint64_t released = 0;
  double time_s = 0;
  double bytes_up = 0;
  double bytes_down = 0;
  double joules = 0;
  double epsilon = NAN;
  std::uint64_t hostile = 0; // devices that an attack drew
  std::string reason;
};

struct RecordedSetting {
  std::string name;
  std::string value;
  std::string origin; // "default", "scenario.toml:12", "flag --set"
};

struct RunManifest {
  std::string name;
  std::uint64_t seed = 0;
  std::string program_version;
  std::string engine;
  std::string device;
  std::string instruction_level;
  std::string base_sha256;
  std::string data_sha256;
  std::string adapter_sha256;
  std::vector<std::string> simulation_only; // why nothing here may be taken for a real fleet's
  std::uint64_t workers = 0;
  std::string host;
  std::string started;
  std::vector<RecordedSetting> scenario;

  // The value of a setting; empty if the scenario has none of that name.
  std::string_view setting(std::string_view setting_name) const;
};

struct RunRecord {
  fs::path folder;
  RunManifest manifest;
  std::vector<PlayedRoundEvent> rounds;     // by round
  std::vector<EvaluationEvent> evaluations; // in the order of the file
  std::vector<ClientEvent> clients;
  bool ended = false; // it has an end line; else it still runs or was stopped
  EndEvent end;       // without an end line: what the lines so far add up to
  bool torn = false;
  std::string events_sha256; // of the whole lines

  // The last release's hash; empty before the first.
  std::string_view release_sha256() const;
};

// kCorrupt names the line; kTooLarge a bound; kNotFound what is missing.
Result<RunRecord> read_run(const fs::path& folder);
// The same with both files' texts at hand.
Result<RunRecord> parse_run(std::string_view events, std::string_view manifest);

} // namespace coppice
