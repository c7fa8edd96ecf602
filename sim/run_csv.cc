// SPDX-License-Identifier: Apache-2.0
#include "sim/run_csv.h"

#include <algorithm>
#include <cmath>

#include "sim/csv_table.h"

namespace coppice {
namespace {

// Of all rounds, in the order in which they come up.
std::vector<std::string> metric_names(const RunRecord& run) {
  std::vector<std::string> names;
  for (const PlayedRoundEvent& round : run.rounds) {
    for (const auto& [name, value] : round.metrics) {
      if (std::ranges::find(names, name) == names.end()) names.push_back(name);
    }
  }
  return names;
}

double metric_of(const PlayedRoundEvent& round, std::string_view wanted) {
  for (const auto& [name, value] : round.metrics) {
    if (name == wanted) return value;
  }
  return NAN;
}

} // namespace

std::string rounds_csv(const RunRecord& run) {
  const std::vector<std::string> metrics = metric_names(run);
  CsvTable table;
  for (const PlayedRoundEvent& round : run.rounds) {
    table.cell("round", round.round);
    table.cell("started_s", round.started_s);
    table.cell("time_s", round.time_s);
    table.cell("asked", round.asked);
    table.cell("accepted", round.accepted);
    table.cell("declined", round.declined);
    table.cell("trained", round.trained);
    table.cell("counted", round.counted);
    table.cell("dropped.answer", round.dropped.answer);
    table.cell("dropped.training", round.dropped.training);
    table.cell("dropped.masking", round.dropped.masking);
    table.cell("dropped.uploading", round.dropped.uploading);
    table.cell("dropped.unmasking", round.dropped.unmasking);
    table.cell("dropped.late", round.dropped.late);
    table.cell("bytes_down", round.bytes_down);
    table.cell("bytes_up", round.bytes_up);
    table.cell("joules", round.joules);
    table.cell("tokens", round.tokens);
    table.cell("released", round.released);
    table.cell("reason", round.reason);
    table.cell("version", round.version);
    table.cell("release_sha256", round.release_sha256);
    table.cell("epsilon", round.epsilon);
    table.cell("noise_multiplier", round.noise_multiplier);
    table.cell("clip_norm", round.clip_norm);
    table.cell("clipped", round.clipped);
    table.cell("clamped", round.clamped);
    table.cell("cosine_mean", round.cosine_mean);
    table.cell("cosine_p10", round.cosine_p10);
    table.cell("cosine_p90", round.cosine_p90);
    table.cell("product_gap", round.product_gap);
    table.cell("participants", round.participants);
    table.cell("participation_gini", round.participation_gini);
    for (const std::string& name : metrics) {
      table.cell("metrics." + name, metric_of(round, name));
    }
    table.end_row();
  }
  return std::move(table).take();
}

std::string evaluations_csv(const RunRecord& run) {
  CsvTable table;
  for (const EvaluationEvent& evaluation : run.evaluations) {
    table.cell("round", evaluation.round);
    table.cell("time_s", evaluation.time_s);
    table.cell("bytes_up", evaluation.bytes_up);
    table.cell("bytes_down", evaluation.bytes_down);
    table.cell("joules", evaluation.joules);
    table.cell("epsilon", evaluation.epsilon);
    table.cell("set", evaluation.set);
    table.cell("adapter", evaluation.adapter);
    table.cell("bits_per_byte", evaluation.bits_per_byte);
    table.cell("nats_per_token", evaluation.nats_per_token);
    table.cell("tokens", evaluation.tokens);
    table.cell("token_accuracy", evaluation.token_accuracy);
    table.cell("choice_accuracy", evaluation.choice_accuracy);
    table.cell("choice_accuracy_by_byte", evaluation.choice_accuracy_by_byte);
    table.cell("exact_match", evaluation.exact_match);
    table.cell("rouge_l", evaluation.rouge_l);
    table.end_row();
  }
  return std::move(table).take();
}

std::string clients_csv(const RunRecord& run) {
  CsvTable table;
  for (const ClientEvent& client : run.clients) {
    table.cell("round", client.round);
    table.cell("client", client.client);
    table.cell("name", client.name);
    table.cell("class", client.device_class);
    table.cell("seen", client.seen);
    table.cell("train_bytes", client.train_bytes);
    table.cell("report_bytes", client.report_bytes);
    table.cell("base", client.base);
    table.cell("shared", client.shared);
    table.cell("personal", client.personal);
    table.cell("local", client.local);
    table.cell("centralized", client.centralized);
    table.cell("served", client.served);
    table.cell("harmed", client.harmed);
    table.cell("hostile", client.hostile);
    table.end_row();
  }
  return std::move(table).take();
}

} // namespace coppice
