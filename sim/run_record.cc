// SPDX-License-Identifier: Apache-2.0
#include "sim/run_record.h"

#include "base/text.h"
#include "crypto/hash.h"
#include "formats/json.h"
#include "sim/run_log.h"

namespace coppice {
namespace {

constexpr std::size_t kMostMetrics = 64;

// Fields of one object, each read with its default; the first error stays.
class Fields {
 public:
  Fields(const Json& object, std::string_view at) : object_(object), at_(at) {}

  void read(std::string_view key, double& value) { keep(json_double_if(object_, key, at_), value); }
  void read(std::string_view key, std::uint64_t& value) {
    keep(json_uint_if(object_, key, at_), value);
  }
  void read(std::string_view key, bool& value) { keep(json_bool_if(object_, key, at_), value); }
  void read(std::string_view key, std::string& value) {
    keep(json_string_if(object_, key, at_), value);
  }
  template <typename T>
  void need(std::string_view key, T& value) {
    if (auto found = json_field(object_, key, at_); !found.ok()) fail(std::move(found).error());
    read(key, value);
  }
  void fail(Error error) {
    if (!error_) error_ = std::move(error);
  }
  const Json& object() const { return object_; }
  Result<void> done() const { return error_ ? Result<void>(*error_) : Result<void>(); }

 private:
  template <typename T>
  void keep(Result<std::optional<T>> found, T& value) {
    if (!found.ok()) {
      fail(std::move(found).error());
    } else if (*found) {
      value = **found;
    }
  }
  const Json& object_;
  std::string_view at_;
  std::optional<Error> error_;
};

Result<void> read_dropped(const Json& line, DroppedEvent& dropped) {
  if (!line.contains("dropped")) return {};
  Fields fields(*COPPICE_TRY(json_object(line, "dropped")), "dropped");
  fields.read("answer", dropped.answer);
  fields.read("training", dropped.training);
  fields.read("masking", dropped.masking);
  fields.read("uploading", dropped.uploading);
  fields.read("unmasking", dropped.unmasking);
  fields.read("late", dropped.late);
  return fields.done();
}

Result<void> read_metrics(const Json& line, std::vector<std::pair<std::string, double>>& metrics) {
  if (!line.contains("metrics")) return {};
  const Json& object = *COPPICE_TRY(json_object(line, "metrics"));
  if (object.size() > kMostMetrics) {
    return Error{ErrorCode::kTooLarge, cat("\"metrics\" has more than ", kMostMetrics, " names")};
  }
  for (const auto& [name, unused] : object.items()) {
    const auto value = COPPICE_TRY(json_double_if(object, name, "metrics"));
    metrics.emplace_back(name, value.value_or(NAN));
  }
  return {};
}

Result<PlayedRoundEvent> round_of(const Json& line) {
  PlayedRoundEvent event;
  Fields fields(line, "");
  fields.need("round", event.round);
  fields.need("time_s", event.time_s);
  fields.read("started_s", event.started_s);
  fields.read("asked", event.asked);
  fields.read("accepted", event.accepted);
  fields.read("declined", event.declined);
  fields.read("trained", event.trained);
  fields.read("counted", event.counted);
  fields.read("bytes_down", event.bytes_down);
  fields.read("bytes_up", event.bytes_up);
  fields.read("joules", event.joules);
  fields.need("released", event.released);
  fields.read("reason", event.reason);
  fields.read("version", event.version);
  fields.read("release_sha256", event.release_sha256);
  fields.read("epsilon", event.epsilon);
  fields.read("noise_multiplier", event.noise_multiplier);
  fields.read("clip_norm", event.clip_norm);
  fields.read("clipped", event.clipped);
  fields.read("clamped", event.clamped);
  fields.read("cosine_mean", event.cosine_mean);
  fields.read("cosine_p10", event.cosine_p10);
  fields.read("cosine_p90", event.cosine_p90);
  fields.read("product_gap", event.product_gap);
  fields.read("tokens", event.tokens);
  fields.read("participants", event.participants);
  fields.read("participation_gini", event.participation_gini);
  COPPICE_TRY(fields.done());
  COPPICE_TRY(read_dropped(line, event.dropped));
  COPPICE_TRY(read_metrics(line, event.metrics));
  return event;
}

Result<EvaluationEvent> evaluation_of(const Json& line) {
  EvaluationEvent event;
  Fields fields(line, "");
  fields.need("round", event.round);
  fields.need("time_s", event.time_s);
  fields.need("set", event.set);
  fields.need("adapter", event.adapter);
  fields.need("bits_per_byte", event.bits_per_byte);
  fields.read("bytes_up", event.bytes_up);
  fields.read("bytes_down", event.bytes_down);
  fields.read("joules", event.joules);
  fields.read("epsilon", event.epsilon);
  fields.read("nats_per_token", event.nats_per_token);
  fields.read("tokens", event.tokens);
  fields.read("token_accuracy", event.token_accuracy);
  fields.read("choice_accuracy", event.choice_accuracy);
  fields.read("choice_accuracy_by_byte", event.choice_accuracy_by_byte);
  fields.read("exact_match", event.exact_match);
  fields.read("rouge_l", event.rouge_l);
  COPPICE_TRY(fields.done());
  return event;
}

Result<ClientEvent> client_of(const Json& line) {
  ClientEvent event;
  Fields fields(line, "");
  fields.need("round", event.round);
  fields.need("client", event.client);
  fields.need("base", event.base);
  fields.need("shared", event.shared);
  fields.read("name", event.name);
  fields.read("class", event.device_class);
  fields.read("seen", event.seen);
  fields.read("train_bytes", event.train_bytes);
  fields.read("report_bytes", event.report_bytes);
  fields.read("personal", event.personal);
  fields.read("local", event.local);
  fields.read("centralized", event.centralized);
  fields.read("served", event.served);
  fields.read("harmed", event.harmed);
  fields.read("hostile", event.hostile);
  COPPICE_TRY(fields.done());
  return event;
}

Result<EndEvent> end_of(const Json& line) {
  EndEvent event;
  Fields fields(line, "");
  fields.need("rounds", event.rounds);
  fields.read("released", event.released);
  fields.read("time_s", event.time_s);
  fields.read("bytes_up", event.bytes_up);
  fields.read("bytes_down", event.bytes_down);
  fields.read("joules", event.joules);
  fields.read("epsilon", event.epsilon);
  fields.read("hostile", event.hostile);
  fields.read("reason", event.reason);
  COPPICE_TRY(fields.done());
  return event;
}

Result<void> add_line(std::string_view text, RunRecord& run) {
  const JsonLimits limits{.max_bytes = kMostLineBytes, .max_depth = 4, .max_values = 1024};
  const Json line = COPPICE_TRY(parse_json(text, limits));
  const std::string kind = COPPICE_TRY(json_string(line, "event"));
  if (run.ended) {
    return Error{ErrorCode::kCorrupt, "it stands after the end of the run; two runs wrote here"};
  }
  if (kind == "round") {
    PlayedRoundEvent event = COPPICE_TRY(round_of(line));
    if (!run.rounds.empty() && event.round <= run.rounds.back().round) {
      return Error{ErrorCode::kCorrupt,
                   cat("round ", event.round, " stands after round ", run.rounds.back().round)};
    }
    run.rounds.push_back(std::move(event));
  } else if (kind == "evaluation") {
    run.evaluations.push_back(COPPICE_TRY(evaluation_of(line)));
  } else if (kind == "client") {
    run.clients.push_back(COPPICE_TRY(client_of(line)));
  } else if (kind == "end") {
    run.end = COPPICE_TRY(end_of(line));
    run.ended = true;
  }
  return {};
}

// What the end line would say of a run that has none.
EndEvent sum_so_far(const RunRecord& run) {
  EndEvent sum;
  for (const PlayedRoundEvent& round : run.rounds) {
    sum.rounds = round.round;
    sum.released += round.released ? 1 : 0;
    sum.time_s = round.time_s;
    sum.bytes_up += round.bytes_up;
    sum.bytes_down += round.bytes_down;
    sum.joules += round.joules;
    if (std::isfinite(round.epsilon)) sum.epsilon = round.epsilon;
  }
  return sum;
}

Result<std::vector<RecordedSetting>> settings_of(const Json& manifest) {
  std::vector<RecordedSetting> settings;
  if (!manifest.contains("scenario")) return settings;
  for (const Json& row : *COPPICE_TRY(json_array(manifest, "scenario"))) {
    RecordedSetting& setting = settings.emplace_back();
    setting.name = COPPICE_TRY(json_string(row, "name", "scenario"));
    setting.value = COPPICE_TRY(json_string(row, "value", "scenario"));
    setting.origin = COPPICE_TRY(json_string(row, "origin", "scenario"));
  }
  return settings;
}

Result<RunManifest> manifest_of(std::string_view text) {
  const JsonLimits limits{.max_bytes = kMostManifestBytes, .max_depth = 8, .max_values = 16384};
  const Json json = COPPICE_TRY(parse_json(text, limits));
  const std::string schema = COPPICE_TRY(json_string(json, "schema"));
  if (schema != "coppice.sim_manifest.v1") {
    return Error{ErrorCode::kUnsupported,
                 cat("its schema is \"", schema, "\"; this version reads coppice.sim_manifest.v1")};
  }
  RunManifest manifest;
  Fields fields(json, "");
  fields.need("name", manifest.name);
  fields.need("seed", manifest.seed);
  fields.read("program_version", manifest.program_version);
  fields.read("engine", manifest.engine);
  fields.read("device", manifest.device);
  fields.read("instruction_level", manifest.instruction_level);
  fields.read("base_sha256", manifest.base_sha256);
  fields.read("data_sha256", manifest.data_sha256);
  fields.read("adapter_sha256", manifest.adapter_sha256);
  fields.read("workers", manifest.workers);
  fields.read("host", manifest.host);
  fields.read("started", manifest.started);
  COPPICE_TRY(fields.done());
  const auto reasons = COPPICE_TRY(json_string_array_if(json, "simulation_only"));
  manifest.simulation_only = reasons.value_or(std::vector<std::string>{});
  manifest.scenario = COPPICE_TRY(settings_of(json));
  return manifest;
}

} // namespace

std::string_view RunManifest::setting(std::string_view setting_name) const {
  for (const RecordedSetting& row : scenario) {
    if (row.name == setting_name) return row.value;
  }
  return {};
}

std::string_view RunRecord::release_sha256() const {
  for (auto round = rounds.rbegin(); round != rounds.rend(); ++round) {
    if (round->released && !round->release_sha256.empty()) return round->release_sha256;
  }
  return {};
}

Result<RunRecord> parse_run(std::string_view events, std::string_view manifest) {
  if (events.size() > kMostEventBytes) {
    return Error{ErrorCode::kTooLarge,
                 cat(kEventsFile, " has more than ", kMostEventBytes >> 20U, " MiB")};
  }
  RunRecord run;
  auto header = manifest_of(manifest);
  if (!header.ok()) return std::move(header).error().with_context(kManifestFile);
  run.manifest = *std::move(header);

  std::size_t number = 0;
  std::size_t at = 0;
  while (at < events.size()) {
    const std::size_t newline = events.find('\n', at);
    run.torn = newline == std::string_view::npos;
    if (run.torn) break;
    ++number;
    if (auto added = add_line(events.substr(at, newline - at), run); !added.ok()) {
      const bool large = added.error().code == ErrorCode::kTooLarge;
      return Error{large ? ErrorCode::kTooLarge : ErrorCode::kCorrupt,
                   cat(kEventsFile, ", line ", number, ": ", added.error().message)};
    }
    at = newline + 1;
  }
  run.events_sha256 = to_hex(sha256(as_bytes(events.substr(0, at))).span());
  if (!run.ended) run.end = sum_so_far(run);
  return run;
}

Result<RunRecord> read_run(const fs::path& folder) {
  const Bytes manifest = COPPICE_TRY(read_file(folder / kManifestFile, kMostManifestBytes));
  const Bytes events = COPPICE_TRY(read_file(folder / kEventsFile, kMostEventBytes));
  auto run = parse_run(as_text(events), as_text(manifest));
  if (!run.ok()) return std::move(run).error().with_context(folder.string());
  run->folder = folder;
  return *std::move(run);
}

} // namespace coppice
