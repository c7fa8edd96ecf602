// SPDX-License-Identifier: Apache-2.0
// What adapters are good for: on one set of all clients' report text, on clients that never
// trained, on public text, and client by client.
//
// Report text, on which nothing selects; the set "gate" alone, drawn where report.gate_bytes asks
// for it, is of gate text, for choosing settings and for no report. Documents and questions are
// scored one by one and summed in order, so figures don't depend on the number of workers or ranks.
// For one thread.
#pragma once

#include <string>
#include <vector>

#include "client/answers.h"
#include "client/gate.h"
#include "sim/client_data.h"
#include "sim/engine_team.h"
#include "sim/kept_states.h"
#include "sim/ranks.h"
#include "sim/scenario.h"

namespace coppice {

struct SetScore {
  std::string set; // "global", "unseen", "gate", "public"
  double bits_per_byte = 0;
  double nats_per_token = 0;
  double token_accuracy = 0;
  std::uint64_t tokens = 0;
  std::uint64_t bytes = 0;
  AnswerScore answers; // none where the set has no instruction rows
};

struct ClientScore {
  std::uint64_t client = 0;
  std::uint64_t train_bytes = 0;
  GateOutcome gate;
  Report report;
  std::optional<double> local;       // bits a byte of an adapter of its own text alone
  std::optional<double> centralized; // and of SharedSubject::centralized
  // Of what serves, by the gate.
  double served_bits_per_byte() const;
  bool harmed() const { return served_bits_per_byte() > report.base; }
};

// What clients are scored with.
struct SharedSubject {
  const Adapter& adapter;
  Sha256 hash;              // of serialize_adapter()
  std::uint64_t rounds = 0; // that made it
  const KeptStates* kept =
      nullptr; // clients' own factors take the place of its; null: there are none
  const Adapter* centralized = nullptr; // of train_centralized(); null: not asked for
};

class Evaluation {
 public:
  // Draws the sets: documents of clients in keyed order until there is enough. All must outlive it.
  static Result<std::unique_ptr<Evaluation>> make(const Scenario& scenario,
                                                  const fs::path& scenario_folder,
                                                  const BaseModel& base, const ClientData& data,
                                                  EngineTeam& team, Ranks& ranks);

  // `adapter` null: the base alone.
  Result<std::vector<SetScore>> score(const Adapter* adapter);
  // Of clients that the scenario's seed draws, all if report.clients is 0; in order. A client is
  // the device of its number.
  Result<std::vector<ClientScore>> score_clients(const SharedSubject& shared);
  // One adapter trained on all training text of seen clients, `tokens` of it.
  Result<Adapter> train_centralized(const Adapter& start, std::uint64_t tokens);

 private:
  struct Set {
    std::string name;
    std::vector<TokenizedDocument> documents;
    std::vector<Question> questions; // of those documents, at most report.answers
  };
  struct Draw { // what a set is drawn from
    const char* name;
    Split split = Split::kReport;
    bool unseen = false;
    std::uint64_t bytes = 0; // at least so many, if there are
  };
  Evaluation(const Scenario& scenario, const BaseModel& base, const ClientData& data,
             EngineTeam& team, Ranks& ranks)
      : scenario_(scenario), base_(base), data_(data), team_(team), ranks_(ranks) {}
  // Numbers of `count` jobs, `width` each: a job runs on one rank, and all get everything.
  Result<std::vector<double>> share_out(
      std::size_t count, std::size_t width,
      const std::function<Result<void>(std::size_t, Engine&, std::span<double>)>& job);
  Result<SetScore> score_text(const Set& set, std::span<const AdapterUse> uses);
  Result<AnswerScore> answer(const Set& set, std::span<const AdapterUse> uses);
  Result<Set> draw_set(const Draw& draw) const;
  std::vector<std::uint64_t> keyed_order(std::uint64_t step) const;
  // Each client's own numbers, whoever else is among them; their adapters train side by side.
  Result<std::vector<ClientScore>> score_some(Engine& engine,
                                              std::span<const std::uint64_t> clients,
                                              const SharedSubject& shared) const;
  TrainRequest local_training(std::uint64_t client, const Adapter& shared,
                              std::uint64_t rounds) const;

  const Scenario& scenario_;
  const BaseModel& base_;
  const ClientData& data_;
  EngineTeam& team_;
  Ranks& ranks_;
  std::vector<Set> sets_;
};

} // namespace coppice
