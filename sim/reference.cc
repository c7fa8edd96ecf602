// SPDX-License-Identifier: Apache-2.0
#include "sim/reference.h"

#include <algorithm>
#include <cmath>

#include "aggregator/references.h"
#include "base/text.h"
#include "sim/run_figures.h"

namespace coppice {
namespace {

constexpr Reference kAll[] = {Reference::kLocalOnly, Reference::kCentralized};

std::vector<EvaluationEvent> evaluations_with(const RunRecord& run, Reference reference) {
  std::vector<EvaluationEvent> found;
  for (const EvaluationEvent& at : run.evaluations) {
    const bool own = reference == Reference::kCentralized && at.adapter == "centralized";
    if (!own && at.adapter != "base") continue;
    found.push_back(at);
    if (own) found.back().adapter = "shared"; // what its clients have in common
  }
  return found;
}

// Of one's own text alone: nothing is shared. A client without any keeps the base.
void answer_alone(ClientEvent& client) {
  client.personal = client.train_bytes == 0 ? client.base : client.local;
  client.shared = NAN;
  client.served = "personal";
}

void answer_with_pooled(ClientEvent& client) {
  client.shared = client.centralized;
  client.personal = NAN;
  client.served = "shared";
}

std::vector<ClientEvent> clients_with(const RunRecord& run, Reference reference) {
  const auto bits_of = [reference](const ClientEvent& client) {
    return reference == Reference::kLocalOnly ? client.local : client.centralized;
  };
  std::vector<ClientEvent> clients = last_clients(run);
  const bool measured = std::ranges::any_of(
      clients, [&](const ClientEvent& client) { return std::isfinite(bits_of(client)); });
  if (!measured) return {};
  for (ClientEvent& client : clients) {
    reference == Reference::kLocalOnly ? answer_alone(client) : answer_with_pooled(client);
    client.local = client.centralized = NAN;
    client.harmed = served_bits(client) > client.base;
  }
  return clients;
}

RunRecord record_with(const RunRecord& run, Reference reference) {
  RunRecord record = run;
  for (RecordedSetting& setting : record.manifest.scenario) {
    if (setting.name == "round.strategy")
      setting.value = cat("\"", reference_name(reference), "\"");
  }
  record.rounds.clear();
  record.evaluations = evaluations_with(run, reference);
  record.clients = clients_with(run, reference);
  record.end = {.reason = cat("measured beside ", run.folder.string())};
  return record;
}

} // namespace

std::string_view reference_name(Reference reference) {
  return strategy_references()[static_cast<std::size_t>(reference)].name;
}

std::optional<Reference> reference_named(std::string_view name) {
  const auto found = std::ranges::find(kAll, name, reference_name);
  return found == std::end(kAll) ? std::nullopt : std::optional(*found);
}

std::string_view reference_setting(Reference reference) {
  return strategy_references()[static_cast<std::size_t>(reference)].setting;
}

ComparedScenario reference_scenario(const ComparedScenario& measured_beside, Reference reference,
                                    std::string name) {
  ComparedScenario made{.name = std::move(name), .runs = {}, .tuned = {}, .reference = true};
  for (const RunRecord& run : measured_beside.runs) {
    made.runs.push_back(record_with(run, reference));
  }
  return made;
}

} // namespace coppice
