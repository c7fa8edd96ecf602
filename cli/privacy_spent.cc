// SPDX-License-Identifier: Apache-2.0
// `coppice privacy spent`: what a fleet has spent of its privacy budget.
#include <cmath>
#include <map>

#include "aggregator/fleet_folder.h"
#include "aggregator/state_store.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/fleet_setup.h"
#include "cli/table.h"

namespace coppice {
namespace {

constexpr std::size_t kAllRounds = 1'000'000;

const char* kind_words(MechanismKind kind) {
  switch (kind) {
    case MechanismKind::kNone: return "no noise";
    case MechanismKind::kDiscreteGaussian: return "central discrete Gaussian";
    case MechanismKind::kDistributedSkellam: return "devices' Skellam";
    case MechanismKind::kDistributedDiscreteGaussian: return "devices' discrete Gaussian";
    case MechanismKind::kBanded: return "banded (DP-FTRL)";
  }
  return "unknown";
}

// Noise over sensitivity, all slots together; of a banded series, over one participation's.
double multiplier_of(const Mechanism& mechanism) {
  std::vector<double> multipliers;
  for (const NoisedVector& slot : mechanism.slots) {
    multipliers.push_back(std::sqrt(slot.variance) / slot.l2_sensitivity);
  }
  return combined_noise_multiplier(multipliers);
}

struct Group { // rounds of one mechanism
  Mechanism mechanism;
  std::uint64_t rounds = 0;
  std::uint64_t unproven = 0;
};
struct BaseView { // what its rounds alone would have cost
  Sha256 base;
  std::uint64_t rounds = 0;
  double epsilon = 0;
};

struct Spent {
  double epsilon = 0;
  double budget = 0;
  double delta = 0;
  std::uint64_t rounds = 0;
  std::uint64_t unproven = 0;
  std::uint64_t without_noise =
      0;                  // released rounds of those still listed that nothing was paid for
  bool aggregator = true; // whether all noise holds against the aggregator too
  std::vector<Group> groups;
  std::vector<BaseView> bases;
};

Result<std::vector<Group>> group(const std::vector<SpendRecord>& records) {
  std::map<std::string, Group> groups;
  for (const SpendRecord& record : records) {
    Group& row = groups[record.mechanism];
    if (row.rounds == 0) row.mechanism = COPPICE_TRY(parse_mechanism(record.mechanism));
    row.rounds += record.times;
    if (!record.proven) row.unproven += record.times;
  }
  std::vector<Group> list;
  list.reserve(groups.size());
  for (auto& [text, row] : groups) list.push_back(std::move(row));
  return list;
}

Result<std::vector<BaseView>> views(const std::vector<SpendRecord>& records, double delta) {
  std::map<Sha256, std::vector<SpendRecord>> bases;
  for (const SpendRecord& record : records) bases[record.base].push_back(record);
  std::vector<BaseView> list;
  for (auto& [base, rows] : bases) {
    BaseView& view = list.emplace_back(BaseView{.base = base});
    for (const SpendRecord& row : rows) view.rounds += row.times;
    view.epsilon = COPPICE_TRY(COPPICE_TRY(PrivacyLedger::of(std::move(rows))).epsilon(delta));
  }
  return list;
}

bool paid_for(const RoundRecord& round, const std::vector<SpendRecord>& records) {
  for (const SpendRecord& record : records) {
    const std::uint64_t last = record.round.value;
    if (round.round.value <= last && round.round.value + record.times > last) return true;
  }
  return false;
}

Result<Spent> read_spent(StateStore& store, const PrivacySettings& settings) {
  const std::vector<SpendRecord> records = COPPICE_TRY(store.spends());
  Spent spent;
  spent.budget = settings.epsilon;
  spent.delta = settings.delta;
  const PrivacyLedger ledger = COPPICE_TRY(PrivacyLedger::of(records));
  spent.epsilon = COPPICE_TRY(ledger.epsilon(spent.delta));
  spent.groups = COPPICE_TRY(group(records));
  spent.bases = COPPICE_TRY(views(records, spent.delta));
  for (const Group& row : spent.groups) {
    spent.rounds += row.rounds;
    spent.unproven += row.unproven;
    spent.aggregator &= row.mechanism.adversary == Adversary::kAggregator;
  }
  for (const RoundRecord& round : COPPICE_TRY(store.rounds(kAllRounds))) {
    spent.without_noise += round.version && !paid_for(round, records) ? 1 : 0;
  }
  return spent;
}

void print_tables(Console& console, const Spent& spent) {
  Table mechanisms({{"mechanism"},
                    {"noise multiplier", Align::kRight},
                    {"sampling rate", Align::kRight},
                    {"against"},
                    {"rounds", Align::kRight},
                    {"unproven", Align::kRight}});
  for (const Group& row : spent.groups) {
    const bool aggregator = row.mechanism.adversary == Adversary::kAggregator;
    mechanisms.add_row({kind_words(row.mechanism.kind), fixed(multiplier_of(row.mechanism), 3),
                        cat(row.mechanism.sampling_rate), aggregator ? "aggregator" : "release",
                        grouped(row.rounds), row.unproven == 0 ? "" : grouped(row.unproven)});
  }
  console.print();
  console.write(mechanisms.render());
  Table bases({{"base"}, {"rounds", Align::kRight}, {"epsilon alone", Align::kRight}});
  for (const BaseView& view : spent.bases) {
    bases.add_row({view.base.hex().substr(0, 16), grouped(view.rounds), fixed(view.epsilon, 3)});
  }
  console.print();
  console.write(bases.render());
  console.print("These are views: the budget is one for all bases, and they don't add up to it.");
}

void print_spent(Console& console, const Spent& spent, NoiseKind noise) {
  if (spent.rounds == 0) {
    console.print(
        cat("Nothing was spent",
            noise == NoiseKind::kNone
                ? ": noise is off (privacy.noise = none), and nothing is promised about "
                  "what releases tell of one device."
                : cat(" of the budget of epsilon ", spent.budget, " at delta ", spent.delta, ".")));
  } else {
    console.print(cat(
        "epsilon ", fixed(spent.epsilon, 3), " of ", spent.budget, " is spent at delta ",
        spent.delta, ", in ", grouped(spent.rounds), " rounds, against ",
        spent.aggregator ? "the aggregator too" : "whoever sees the releases, not the aggregator"));
    if (spent.unproven > 0) {
      console.print(cat(grouped(spent.unproven),
                        " of the rounds are charged because a restored "
                        "state couldn't prove that nothing was released in them"));
    }
    print_tables(console, spent);
  }
  if (spent.without_noise > 0) {
    console.print(cat(grouped(spent.without_noise),
                      " released rounds had no noise: nothing is "
                      "promised about them, and no epsilon counts them."));
  }
}

Json spent_json(const Spent& spent) {
  Json fields{{"epsilon", spent.epsilon},
              {"budget", spent.budget},
              {"delta", spent.delta},
              {"adversary", spent.aggregator && spent.rounds > 0 ? "aggregator" : "release"},
              {"rounds", spent.rounds},
              {"unproven_rounds", spent.unproven},
              {"rounds_without_noise", spent.without_noise},
              {"mechanisms", Json::array()},
              {"bases", Json::array()}};
  for (const Group& row : spent.groups) {
    const bool aggregator = row.mechanism.adversary == Adversary::kAggregator;
    fields["mechanisms"].push_back({{"kind", kind_words(row.mechanism.kind)},
                                    {"noise_multiplier", multiplier_of(row.mechanism)},
                                    {"sampling_rate", row.mechanism.sampling_rate},
                                    {"adversary", aggregator ? "aggregator" : "release"},
                                    {"rounds", row.rounds},
                                    {"unproven_rounds", row.unproven}});
  }
  for (const BaseView& view : spent.bases) {
    fields["bases"].push_back({{"base_sha256", view.base.hex()},
                               {"rounds", view.rounds},
                               {"epsilon_alone", view.epsilon}});
  }
  return fields;
}

Result<ExitCode> show(Context& context, const std::string& directory) {
  StateStore store = COPPICE_TRY(StateStore::observe(directory));
  const AggregatorSettings settings = COPPICE_TRY(aggregator_settings(
      COPPICE_TRY(load_aggregator_settings(directory, context.environment, {}))));
  const Spent spent = COPPICE_TRY(read_spent(store, settings.privacy));
  print_spent(context.console, spent, settings.privacy.noise);
  context.console.finish("coppice.privacy_spent.v1", spent_json(spent));
  return ExitCode::kOk;
}

} // namespace

void add_privacy_spent_command(CommandOptions& parent, Context& context) {
  auto directory = std::make_shared<std::string>();
  CommandOptions command =
      new_command(parent, context,
                  {.name = "spent",
                   .summary = "What a fleet has spent of its privacy budget, and on what",
                   .example = "coppice privacy spent fleet"},
                  [directory](Context& at) { return show(at, *directory); });
  command.add_option("DIR", *directory, "The fleet's folder").required();
}

} // namespace coppice
