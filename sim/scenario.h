// SPDX-License-Identifier: Apache-2.0
// scenario.toml: everything that a simulation's outcome follows from, in one table of settings.
//
// [lora], [training], [round] and [privacy] are an aggregator's own settings and [personal] a
// device's, and mean what they mean there; the rest says who the virtual clients are, what they
// have, and what is reported. `workers` and the number of GPUs change how long a run takes and
// nothing else.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "aggregator/settings.h"
#include "client/settings.h"
#include "model/engine_precision.h"
#include "sim/attack_settings.h"
#include "sim/virtual_time.h"

namespace coppice {

// What a virtual client does between a plan and its delta.
enum class TrainingKind {
  kLora, // trains, on an engine
  kNone, // nothing: a delta of zeros. For studies of the protocol, of time, energy and bytes
};

enum class DataSource {
  kPeople, // invented persons (sim/people.h)
  kFolder, // one folder of .txt, .md and .jsonl files a client
  kTsv,    // a column names the client, another holds the text
  kJsonl,  // rows of text or instructions; a field may name client or domain
};

enum class Partition {
  kByUser,       // as the source has them
  kIid,          // pieces dealt at random, equal shares
  kDirichlet,    // each client's mixture of labels is drawn from Dirichlet(alpha)
  kPathological, // each client has `labels_per_client` labels
  kShards,       // pieces sorted by label, cut into shards, `shards_per_client` each
  kQuantity,     // pieces dealt at random, sizes log-normal with `sigma`
  kDrift,        // pieces in the source's order: a client's window moves with its number
};

// What people write: documents, or answers that differ by client (sim/people_tasks.h).
enum class DataTask { kNone, kOutputCipher, kInputCipher, kFacts, kStyles };

struct DataSettings {
  DataSource source = DataSource::kPeople;
  DataTask task = DataTask::kNone; // of people
  std::string path = {};           // relative to the scenario's file; unused for people
  std::string sha256 = {};         // of the source's bytes, in hex; empty: not pinned
  std::string user_column = {};    // of TSV; field of JSONL
  std::string text_column = {};
  std::string label_column = {}; // of TSV; field of JSONL ("domain"): what partitions go by
  Partition partition = Partition::kByUser;
  double alpha = 0.3;
  std::uint32_t labels_per_client = 2;
  std::uint32_t shards_per_client = 2;
  double sigma = 1.0;
  std::uint64_t min_bytes = 0;       // users with less text are left out
  std::uint64_t bytes_each = 40'000; // of people
  double held_out = 0;               // share of the clients that never train: unseen
};

// A kind of device. All constants are the scenario's, and are echoed in the manifest.
struct DeviceClass {
  std::string name;
  double share = 1;             // of the population; shares are normalized
  double tokens_per_second = 0; // of training
  double down_bytes_per_second = 0;
  double up_bytes_per_second = 0;
  Nanos latency;          // one way
  double train_watts = 0; // beyond idling
  double radio_joules_per_megabyte = 0;
  std::uint32_t max_rank = 0; // of a target, trained: as a device's resources.max_rank
  double spread = 0;          // sigma of a log-normal factor on speed and bandwidths, one a device
};

enum class AvailabilityKind {
  kAlways,
  kHours, // idle, charging and on an unmetered network, with a share that depends on local hour
  kTrace, // a file: sim/availability.h
};

struct PopulationSettings {
  std::uint64_t devices = 0; // 0: as many as the data has clients
  AvailabilityKind availability = AvailabilityKind::kAlways;
  std::string trace; // path
  // kHours: the devices' local times are spread evenly over so many whole hours, 1 to 24.
  std::uint32_t time_zones = 4;
  std::vector<DeviceClass> classes;
  Nanos clock_skew; // a device's clock is off by at most this
  // Chances to be gone at each point, beside what availability takes.
  double drop_before_answer = 0;
  double drop_while_training = 0;
  double drop_after_masking = 0;
  double drop_while_uploading = 0;
  double drop_before_unmasking = 0;
};

struct ReportSettings {
  std::uint32_t every = 5;              // rounds between evaluations; the last round has one too
  std::uint32_t clients = 50;           // clients that are evaluated one by one; 0: all
  bool personal = true;                 // train personal adapters for them at the end, and gate
  bool local_only = false;              // and adapters from scratch on their own text alone
  bool centralized = false;             // and one adapter on all clients' text together
  std::string public_text;              // file of text that no client has: forgetting
  std::uint64_t global_bytes = 200'000; // of the global report set, drawn from all clients
  std::uint64_t gate_bytes = 0;         // of a set of clients' gate text; 0: no such set
  std::uint32_t answers = 16;           // instruction rows of each set that are answered
  double target_bits_per_byte = 0;      // 0: none
  std::uint32_t adapters_every = 0;     // rounds between stored adapters; 0: only the last
};

enum class SimulatedSum {
  kExact, // the integer sum as it is: what unmasking gives, bit for bit; costs are accounted
  kFull,  // every key, share, mask and unmasking step
};

struct Scenario {
  std::string name;
  std::uint64_t seed = 1;
  std::uint64_t rounds = 0;
  Nanos time_limit;       // virtual; 0: none
  unsigned workers = 0;   // threads that train; 0: one a core, or one a GPU
  std::uint32_t pack = 4; // clients that a worker takes at once
  std::string engine;     // "native", "graph"
  // Where it computes: "cpu" alone, or GPUs, "cuda:0"; "cuda" is the process's own.
  std::vector<std::string> devices;
  std::uint64_t memory = 0; // EngineOptions::activation_bytes
  EnginePrecision precision = EnginePrecision::kBfloat16;
  std::string model;   // path of the base
  std::string adapter; // PEFT folder or GGUF file to start from; empty: a new one
  TrainingKind training = TrainingKind::kLora;
  SimulatedSum secure_sum = SimulatedSum::kExact;
  std::uint32_t noise_cohort = 0; // simulation only: noise as for a cohort of this size; 0: as is
  DataSettings data;
  PopulationSettings population;
  ReportSettings report;
  PersonalSettings personal;
  AttackSettings attack;
  AggregatorSettings fleet;
};

// All keys, those of an aggregator and of a device's personal adapter included.
std::span<const KeySpec> scenario_keys();
// What a file for people holds: without [network] and [retention], which nothing here looks at.
std::span<const KeySpec> scenario_file_keys();
// Those that hold a path, relative to the scenario's file where it isn't absolute.
std::span<const std::string_view> scenario_path_keys();
// Checks what no single key can. kInvalidArgument names the key.
Result<Scenario> scenario_of(const Settings& settings);

} // namespace coppice
