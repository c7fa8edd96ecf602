// SPDX-License-Identifier: Apache-2.0
#include "sim/scenario.h"

#include <algorithm>
#include <cmath>

#include "base/text.h"
#include "client/trainer.h"
#include "sim/client_data.h"
#include "sim/device_class.h"

namespace coppice {
namespace {

using enum SettingType;
constexpr double kYearMs = 365.0 * 24 * 3600 * 1000;

constexpr KeySpec kSimulationKeys[] = {
    {"", "name", kString, "scenario", "What reports call this run."},
    {"", "seed", kInt, "1",
     "Of population, cohorts, drop-outs and noise; training.seed is that of batches and rounding.",
     1, 9e15},
    {"", "rounds", kInt, "20", "Rounds to play.", 1, 1e7},
    {"", "time_limit", kDuration, "0", "Virtual time after which no round starts; 0: none.", 0,
     100 * kYearMs},
    {"", "workers", kInt, "0",
     "Threads that train; 0: one a core, or one a GPU. Results don't depend on it.", 0, 1024},
    {"", "pack", kInt, "1",
     "Clients that a worker takes at once. A GPU computes them together, and its results depend on "
     "it; others don't.",
     1, 65536},
    {"", "engine", kChoice, "native", "What computes: native, or graph, by LibTorch.", -INFINITY,
     INFINITY, "native|graph"},
    {"", "device", kString, "cpu",
     "Where the engine graph computes: cpu; cuda, the GPU of this process; cuda:0,cuda:1: several "
     "in one process. Results don't depend on how many."},
    {"", "memory", kSize, "256MB",
     "Of a training step beside weights and adapters; packs on a GPU want gigabytes."},
    {"", "precision", kChoice, "bfloat16",
     "What products' inputs are rounded to, by the native engine and on a GPU: bfloat16, on "
     "training's way back; quick: that, on the way there too; float32: nothing.",
     -INFINITY, INFINITY, kPrecisionNames},
    {"", "model", kString, "", "The base model's GGUF file, seen from the scenario's folder."},
    {"", "adapter", kString, "", "Adapter to start from; empty: a new one, of [lora]."},
    {"", "secure_sum", kChoice, "exact",
     "Secure aggregation in full, every key and mask of it, or as the exact sum that it gives.",
     -INFINITY, INFINITY, "exact|full"},

    {"training", "kind", kChoice, "lora",
     "lora: virtual clients train. none: they send zeros, for studies of time, bytes and energy.",
     -INFINITY, INFINITY, "lora|none"},
    {"privacy", "noise_cohort", kInt, "0",
     "Simulation only: noise as it would be on the mean of so many clients; 0: of the real cohort.",
     0, 1e9},

    {"data", "source", kChoice, "people",
     "people: invented persons. folder: one folder a client. tsv, jsonl: rows that name a client.",
     -INFINITY, INFINITY, "people|folder|tsv|jsonl"},
    {"data", "task", kChoice, "none",
     "Of people: documents (none), or questions whose right answers differ by client.", -INFINITY,
     INFINITY, "none|output-cipher|input-cipher|facts|styles"},
    {"data", "path", kString, "", "File or folder of the source, seen from the scenario's folder."},
    {"data", "sha256", kString, "", "The source's SHA-256, checked; empty: any."},
    {"data", "user_column", kString, "",
     "Column or field that names the client; several joined by commas."},
    {"data", "text_column", kString, "",
     "Column or field that holds the text; empty: text of TSV, and of JSONL rows as devices take "
     "them."},
    {"data", "label_column", kString, "", "Column or field that partitions go by."},
    {"data", "partition", kChoice, "by-user", "How text is dealt to clients.", -INFINITY, INFINITY,
     "by-user|iid|dirichlet|pathological|shards|quantity|drift"},
    {"data", "alpha", kFloat, "0.3", "Of dirichlet: small is uneven.", 1e-4, 1e4},
    {"data", "labels_per_client", kInt, "2", "Of pathological.", 1, 1e4},
    {"data", "shards_per_client", kInt, "2", "Of shards.", 1, 1e4},
    {"data", "sigma", kFloat, "1", "Of quantity: sizes are log-normal.", 0, 10},
    {"data", "min_bytes", kSize, "0", "Clients with less text are left out."},
    {"data", "bytes_each", kSize, "40kB", "Text of one invented person."},
    {"data", "held_out", kFloat, "0", "Share of the clients that never train: unseen ones.", 0,
     0.9},

    {"population", "devices", kInt, "0", "Virtual devices; 0: as many as the data has clients.", 0,
     4e9},
    {"population", "time_zones", kInt, "4", "Time zones that phones of hours are spread over.", 1,
     24},
    {"population", "availability", kChoice, "always",
     "always; hours: phones that charge at night; trace: a file.", -INFINITY, INFINITY,
     "always|hours|trace"},
    {"population", "trace", kString, "", "The trace's file."},
    {"population", "classes", kStringList,
     "laptop share=0.3 tokens_per_s=2000 down=5MB up=2MB latency_ms=30 spread=0.3 train_w=18 "
     "radio_j_per_mb=0.5,"
     "phone share=0.5 tokens_per_s=700 down=3MB up=1MB latency_ms=50 spread=0.5 train_w=4 "
     "radio_j_per_mb=1.5,"
     "old-phone share=0.2 tokens_per_s=200 down=1MB up=300kB latency_ms=90 spread=0.5 train_w=3 "
     "radio_j_per_mb=3",
     "Kinds of device: a name and its constants. Bandwidths are a second; spread is the sigma of a "
     "log-normal factor on speed and bandwidths."},
    {"population", "clock_skew", kDuration, "2s", "A device's clock is off by at most this.", 0,
     24.0 * 3600 * 1000},
    {"population", "drop_before_answer", kFloat, "0", "Chance to vanish before answering a plan.",
     0, 1},
    {"population", "drop_while_training", kFloat, "0", "Chance to vanish while training.", 0, 1},
    {"population", "drop_after_masking", kFloat, "0",
     "Chance to vanish after agreeing on masks, before uploading.", 0, 1},
    {"population", "drop_while_uploading", kFloat, "0", "Chance to vanish while uploading.", 0, 1},
    {"population", "drop_before_unmasking", kFloat, "0",
     "Chance to vanish after the upload, before helping to unmask.", 0, 1},

    {"report", "every", kInt, "5", "Rounds between evaluations; the last has one too.", 1, 1e7},
    {"report", "clients", kInt, "50", "Clients evaluated one by one at the end; 0: all.", 0, 1e7},
    {"report", "personal", kBool, "true", "Train their personal adapters, and gate."},
    {"report", "local_only", kBool, "false",
     "Train them from scratch too, on their own text alone, for as many steps as the rounds had."},
    {"report", "centralized", kBool, "false",
     "Train one adapter on all clients' text together, for as many tokens."},
    {"report", "public_text", kString, "", "File of text that no client has: forgetting."},
    {"report", "global_bytes", kSize, "200kB", "Of the global report set, drawn from all clients."},
    {"report", "gate_bytes", kSize, "0",
     "Of a set drawn from all clients' gate text, for choosing settings and for no report; 0: "
     "none."},
    {"report", "answers", kInt, "16", "Instruction rows of each report set that are answered.", 0,
     1e5},
    {"report", "target_bits_per_byte", kFloat, "0", "What time, bytes and rounds are counted to.",
     0, 64},
    {"report", "adapters_every", kInt, "0", "Rounds between stored adapters; 0: the last alone.", 0,
     1e7},
};

constexpr std::string_view kPathKeys[] = {"model", "adapter", "data.path", "population.trace",
                                          "report.public_text"};

std::vector<KeySpec> all_keys() {
  std::vector<KeySpec> keys(std::begin(kSimulationKeys), std::end(kSimulationKeys));
  const auto attack = attack_keys();
  keys.insert(keys.end(), attack.begin(), attack.end());
  const auto fleet = aggregator_keys();
  keys.insert(keys.end(), fleet.begin(), fleet.end());
  std::ranges::copy_if(client_keys(), std::back_inserter(keys),
                       [](const KeySpec& key) { return key.section == "personal"; });
  return keys;
}

bool is_for_people(const KeySpec& key) {
  return key.section != "network" && key.section != "retention";
}

DataSettings data_of(const Settings& settings) {
  DataSettings data;
  data.source = parse_source(settings.get_string("data.source")).value(); // one of the choices
  data.partition = parse_partition(settings.get_string("data.partition")).value();
  data.path = settings.get_string("data.path");
  data.sha256 = settings.get_string("data.sha256");
  data.user_column = settings.get_string("data.user_column");
  data.text_column = settings.get_string("data.text_column");
  if (data.source == DataSource::kTsv && data.text_column.empty()) data.text_column = "text";
  data.label_column = settings.get_string("data.label_column");
  data.alpha = settings.get_float("data.alpha");
  data.labels_per_client = static_cast<std::uint32_t>(settings.get_int("data.labels_per_client"));
  data.shards_per_client = static_cast<std::uint32_t>(settings.get_int("data.shards_per_client"));
  data.sigma = settings.get_float("data.sigma");
  data.min_bytes = settings.get_size("data.min_bytes");
  data.bytes_each = settings.get_size("data.bytes_each");
  data.task = parse_task(settings.get_string("data.task")).value();
  data.held_out = settings.get_float("data.held_out");
  return data;
}

Result<PopulationSettings> population_of(const Settings& settings) {
  PopulationSettings population;
  population.devices = static_cast<std::uint64_t>(settings.get_int("population.devices"));
  const std::string& availability = settings.get_string("population.availability");
  if (availability == "hours") population.availability = AvailabilityKind::kHours;
  if (availability == "trace") population.availability = AvailabilityKind::kTrace;
  population.trace = settings.get_string("population.trace");
  if (population.availability == AvailabilityKind::kTrace && population.trace.empty()) {
    return Error{ErrorCode::kInvalidArgument,
                 "population.availability = trace needs population.trace, a file of "
                 "'coppice sim trace'"};
  }
  for (const std::string& text : settings.get_strings("population.classes")) {
    auto parsed = parse_device_class(text);
    if (!parsed.ok()) return std::move(parsed).error().with_context("population.classes");
    population.classes.push_back(std::move(parsed).value());
  }
  population.time_zones = static_cast<std::uint32_t>(settings.get_int("population.time_zones"));
  population.clock_skew = nanos(settings.get_duration("population.clock_skew"));
  population.drop_before_answer = settings.get_float("population.drop_before_answer");
  population.drop_while_training = settings.get_float("population.drop_while_training");
  population.drop_after_masking = settings.get_float("population.drop_after_masking");
  population.drop_while_uploading = settings.get_float("population.drop_while_uploading");
  population.drop_before_unmasking = settings.get_float("population.drop_before_unmasking");
  return population;
}

ReportSettings report_of(const Settings& settings) {
  ReportSettings report;
  report.every = static_cast<std::uint32_t>(settings.get_int("report.every"));
  report.clients = static_cast<std::uint32_t>(settings.get_int("report.clients"));
  report.personal = settings.get_bool("report.personal");
  report.local_only = settings.get_bool("report.local_only");
  report.centralized = settings.get_bool("report.centralized");
  report.public_text = settings.get_string("report.public_text");
  report.global_bytes = settings.get_size("report.global_bytes");
  report.gate_bytes = settings.get_size("report.gate_bytes");
  report.answers = static_cast<std::uint32_t>(settings.get_int("report.answers"));
  report.target_bits_per_byte = settings.get_float("report.target_bits_per_byte");
  report.adapters_every = static_cast<std::uint32_t>(settings.get_int("report.adapters_every"));
  return report;
}

bool is_gpu(std::string_view device) {
  constexpr std::string_view kGpu = "cuda:";
  return device.starts_with(kGpu) && device.size() > kGpu.size() &&
         device.find_first_not_of("0123456789", kGpu.size()) == std::string_view::npos;
}

Result<void> check_devices(const Scenario& scenario) {
  const std::vector<std::string>& devices = scenario.devices;
  const bool alone = devices.size() == 1 && (devices[0] == "cpu" || devices[0] == "cuda");
  if (!alone && !std::ranges::all_of(devices, is_gpu)) {
    return Error{ErrorCode::kInvalidArgument, cat("device is cpu, cuda, or GPUs as cuda:0,cuda:1; ",
                                                  join(devices, ","), " is none of these")};
  }
  if (devices[0] != "cpu" && scenario.engine != "graph") {
    return Error{ErrorCode::kInvalidArgument,
                 cat("device = ", devices[0], " needs engine = graph: the engine ", scenario.engine,
                     " computes on the CPU")};
  }
  return {};
}

Result<void> check(const Scenario& scenario) {
  COPPICE_TRY(check_devices(scenario));
  const auto refuse = [](std::string why) -> Result<void> {
    return Error{ErrorCode::kInvalidArgument, std::move(why)};
  };
  const bool trains = scenario.training == TrainingKind::kLora;
  if (trains && scenario.model.empty()) return refuse("training.kind = lora needs a model");
  if (!trains && scenario.model.empty() && !scenario.adapter.empty()) {
    return refuse("an adapter to start from needs a model");
  }
  if (!trains && scenario.population.devices == 0) {
    return refuse("training.kind = none reads no data: set population.devices");
  }
  if (trains && scenario.data.source == DataSource::kPeople && scenario.population.devices == 0) {
    return refuse("data.source = people has no end: set population.devices");
  }
  if (trains && scenario.data.source != DataSource::kPeople && scenario.data.path.empty()) {
    return refuse("data.source needs data.path");
  }
  if (scenario.population.classes.empty()) return refuse("population.classes names no device");
  if (trains && planned_steps(scenario.fleet.training) == 0) {
    return refuse(
        "set training.max_steps or training.max_tokens: in virtual time a budget of seconds "
        "needs a number of steps too");
  }
  if (scenario.noise_cohort > 0 && !scenario.fleet.cohort.poisson) {
    return refuse(
        "privacy.noise_cohort needs round.sampling = poisson: it stands for a larger sample");
  }
  return {};
}

} // namespace

std::span<const KeySpec> scenario_keys() {
  static const std::vector<KeySpec> keys = all_keys();
  return keys;
}

std::span<const KeySpec> scenario_file_keys() {
  static const std::vector<KeySpec> keys = [] {
    std::vector<KeySpec> kept;
    std::ranges::copy_if(scenario_keys(), std::back_inserter(kept), is_for_people);
    return kept;
  }();
  return keys;
}

std::span<const std::string_view> scenario_path_keys() { return kPathKeys; }

Result<Scenario> scenario_of(const Settings& settings) {
  for (const KeySpec& key : scenario_keys()) {
    const std::string name = setting_name(key);
    const SettingOrigin& origin = settings.origin(name);
    if (!is_for_people(key) && origin.layer != SettingLayer::kDefault) {
      return Error{
          ErrorCode::kInvalidArgument,
          cat(origin.text(), ": ", name, " is a service's; a simulation has no use for it")};
    }
  }
  Scenario scenario;
  scenario.name = settings.get_string("name");
  scenario.seed = static_cast<std::uint64_t>(settings.get_int("seed"));
  scenario.rounds = static_cast<std::uint64_t>(settings.get_int("rounds"));
  scenario.time_limit = nanos(settings.get_duration("time_limit"));
  scenario.workers = static_cast<unsigned>(settings.get_int("workers"));
  scenario.pack = static_cast<std::uint32_t>(settings.get_int("pack"));
  scenario.engine = settings.get_string("engine");
  for (const std::string& device : split(settings.get_string("device"), ',')) {
    scenario.devices.emplace_back(trim(device));
  }
  scenario.memory = settings.get_size("memory");
  scenario.precision = precision_named(settings.get_string("precision"));
  scenario.model = settings.get_string("model");
  scenario.adapter = settings.get_string("adapter");
  scenario.training =
      settings.get_string("training.kind") == "none" ? TrainingKind::kNone : TrainingKind::kLora;
  scenario.secure_sum =
      settings.get_string("secure_sum") == "full" ? SimulatedSum::kFull : SimulatedSum::kExact;
  scenario.noise_cohort = static_cast<std::uint32_t>(settings.get_int("privacy.noise_cohort"));
  scenario.data = data_of(settings);
  scenario.population = COPPICE_TRY(population_of(settings));
  scenario.report = report_of(settings);
  scenario.personal = personal_settings(settings);
  scenario.attack = COPPICE_TRY(attack_of(settings));
  scenario.fleet = COPPICE_TRY(aggregator_settings(settings));
  COPPICE_TRY(check(scenario));
  return scenario;
}

} // namespace coppice
