// SPDX-License-Identifier: Apache-2.0
// The table of strategies. A new one is a file, a declaration in strategies.h, and a line here.
#include <algorithm>
#include <array>

#include "aggregator/references.h"
#include "aggregator/strategies/strategies.h"
#include "base/text.h"

namespace coppice {
namespace {

struct Alias {
  std::string_view theirs, ours;
};
// Flower's classes, and names in common use.
constexpr Alias kAliases[] = {
    {"FedAvg", "fedavg"},    {"FedIT", "fedavg"},      {"FedProx", "fedprox"},
    {"FFA-LoRA", "ffa"},     {"RoLoRA", "rolora"},     {"FedNova", "fednova"},
    {"QFedAvg", "qfedavg"},  {"FedDyn", "feddyn"},     {"SCAFFOLD", "scaffold"},
    {"FedSA-LoRA", "fedsa"}, {"Fed-ALoRA", "share-b"}, {"FedEx-LoRA", "fedex"},
    {"Fed-SB", "fedsb"},     {"IFCA", "ifca"},         {"FedBuff", "fedbuff"},
    {"FLoRA", "flora"},      {"HetLoRA", "hetlora"},   {"FlexLoRA", "flexlora"},
};

constexpr std::array kTable{
    StrategyEntry{"fedavg", Need::kSum, "McMahan et al. 2017; FedIT: Zhang et al. 2024",
                  "the weighted mean of A and of B", "", fedavg},
    StrategyEntry{"ffa", Need::kSum, "FFA-LoRA: Sun et al. 2024", "A frozen, the mean of B", "",
                  ffa},
    StrategyEntry{"rolora", Need::kSum, "RoLoRA: Chen et al. 2025", "B in one round, A in the next",
                  "", rolora},
    StrategyEntry{"fedprox", Need::kSum, "Li et al. 2020",
                  "fedavg, with devices held near the received adapter", "", fedprox},
    StrategyEntry{"fedbuff", Need::kSum, "Nguyen et al. 2022", "a release from each K uploads",
                  "buffer|max_staleness|staleness_exponent", fedbuff},
    StrategyEntry{"fednova", Need::kSum, "Wang et al. 2020",
                  "deltas count by step, whoever took more", "", fednova},
    StrategyEntry{"qfedavg", Need::kSum, "q-FFL: Li et al. 2020",
                  "devices with much loss pull harder", "loss_power", qfedavg},
    StrategyEntry{"feddyn", Need::kSum, "Acar et al. 2021",
                  "devices keep their gradients, which cancel each other's drift", "population",
                  feddyn},
    StrategyEntry{"scaffold", Need::kSum, "Karimireddy et al. 2020",
                  "devices step along the common gradient, by control variates", "population",
                  scaffold},
    StrategyEntry{"fedsa", Need::kSum, "FedSA-LoRA: Guo et al. 2025",
                  "the mean of A; each device keeps a B of its own", "", fedsa},
    StrategyEntry{"share-b", Need::kSum, "Fed-ALoRA: Ban, Ji 2025",
                  "the mean of B; each device keeps an A of its own", "", share_b},
    StrategyEntry{"fedsb", Need::kSum, "Fed-SB: Singhal et al. 2025",
                  "after some rounds of fedavg only a square core of B, r x r", "warmup_rounds",
                  fedsb, false, true},
    StrategyEntry{"ifca", Need::kSum, "IFCA: Ghosh et al. 2020",
                  "several adapters; each device trains the one that suits it best", "clusters",
                  ifca, false, false, true},
    StrategyEntry{"fedavgm", Need::kSum, "Hsu, Qi, Brown 2019", "fedavg with server momentum",
                  "server_learning_rate|server_momentum", fedavgm},
    StrategyEntry{"fedadam", Need::kSum, "Reddi et al. 2021", "Adam on the mean delta",
                  "server_learning_rate|beta1|beta2|tau", fedadam},
    StrategyEntry{"fedyogi", Need::kSum, "Reddi et al. 2021", "Yogi on the mean delta",
                  "server_learning_rate|beta1|beta2|tau", fedyogi},
    StrategyEntry{"fedadagrad", Need::kSum, "Reddi et al. 2021", "Adagrad on the mean delta",
                  "server_learning_rate|tau", fedadagrad},
    StrategyEntry{"flexlora", Need::kIndividual, "Bai et al. 2024",
                  "the best of its rank for the mean of B A", "bucket", flexlora, false, true},
    StrategyEntry{"hetlora", Need::kIndividual, "HetLoRA: Cho et al. 2024",
                  "ranks by device, weighed by the norm of B A", "bucket", hetlora},
    StrategyEntry{"fedex", Need::kIndividual, "FedEx-LoRA: Singhal et al. 2025",
                  "the mean of A and of B, what they miss of B A in a patch", "patch_rank|bucket",
                  fedex, true},
    StrategyEntry{"flora", Need::kIndividual, "FLoRA: Wang et al. 2024",
                  "all of B A stacked into a patch, A and B anew", "patch_rank|bucket", flora, true,
                  true},
    StrategyEntry{"median", Need::kIndividual, "Yin et al. 2018", "median of each coordinate",
                  "bucket", median},
    StrategyEntry{"trimmed-mean", Need::kIndividual, "Yin et al. 2018",
                  "mean of each coordinate without its ends", "trim|bucket", trimmed_mean_strategy},
    StrategyEntry{"krum", Need::kIndividual, "Blanchard et al. 2017",
                  "the update with the closest neighbours", "byzantine_fraction|bucket",
                  krum_strategy},
    StrategyEntry{"multi-krum", Need::kIndividual, "Blanchard et al. 2017",
                  "the mean of those with close neighbours", "byzantine_fraction|keep|bucket",
                  multi_krum_strategy},
    StrategyEntry{"bulyan", Need::kIndividual, "El Mhamdi et al. 2018",
                  "krum again and again, then trimmed around the median",
                  "byzantine_fraction|bucket", bulyan_strategy},
    StrategyEntry{"norm-bound", Need::kIndividual, "Sun et al. 2019",
                  "the mean of updates shortened to a norm", "radius|bucket", norm_bound_strategy},
    StrategyEntry{"rfa", Need::kIndividual, "Pillutla et al. 2022",
                  "the geometric median, smoothed", "bucket", rfa_strategy},
    StrategyEntry{"centered-clip", Need::kIndividual, "Karimireddy, He, Jaggi 2021",
                  "updates clipped around the last step", "radius|bucket", centered_clip_strategy},
};

Error unknown(std::string_view name) {
  for (const StrategyReference& reference : strategy_references()) {
    if (reference.name != name) continue;
    return {
        ErrorCode::kInvalidArgument,
        cat("'", name, "' is a reference of simulations and no strategy: ", reference.why_not,
            "; set ", reference.setting, " = true in a scenario, or name it beside a strategy: ",
            "coppice sim compare SCENARIO --vary round.strategy=fedavg,", name)};
  }
  std::vector<std::string> names;
  for (const StrategyEntry& entry : all_strategies()) names.emplace_back(entry.name);
  const std::string nearest = nearest_name(name, names);
  return {ErrorCode::kInvalidArgument, cat("unknown strategy '", name, "'; ",
                                           nearest.empty() ? cat("known: ", join(names, ", "))
                                                           : cat("did you mean '", nearest, "'?"))};
}

} // namespace

const char* need_name(Need need) {
  switch (need) {
    case Need::kSum: return "Sum";
    case Need::kMultiPassSum: return "MultiPassSum";
    case Need::kGroupSum: return "GroupSum";
    case Need::kIndividual: return "Individual";
  }
  return "unknown";
}

std::span<const StrategyEntry> all_strategies() {
  static const std::vector<StrategyEntry> all = [] {
    std::vector<StrategyEntry> both(kTable.begin(), kTable.end());
    both.insert(both.end(), custom_strategies().begin(), custom_strategies().end());
    return both;
  }();
  return all;
}

std::string_view strategy_name(std::string_view name) {
  for (const Alias& alias : kAliases) {
    if (name == alias.theirs) return alias.ours;
  }
  return name;
}

const StrategyEntry* find_strategy(std::string_view name) {
  const auto entry = std::ranges::find(all_strategies(), strategy_name(name), &StrategyEntry::name);
  return entry == all_strategies().end() ? nullptr : &*entry;
}

Result<std::unique_ptr<Strategy>> make_strategy(const StrategySettings& settings,
                                                bool secure_aggregation) {
  const StrategyEntry* const entry = find_strategy(settings.name);
  if (entry == nullptr) return unknown(settings.name);
  const std::string_view name = entry->name;
  std::unique_ptr<Strategy> strategy = entry->make(settings);
  if (secure_aggregation && strategy->need() == Need::kIndividual) {
    return Error{ErrorCode::kFailedPrecondition,
                 cat("strategy '", name,
                     "' needs every device's own delta, and secure aggregation hides exactly that; "
                     "set strategy.bucket, so that it looks at the sums of groups of at least ",
                     kMinMembers, " devices, or choose a strategy of need Sum")};
  }
  if (secure_aggregation && strategy->need() == Need::kGroupSum && settings.bucket < kMinMembers) {
    return Error{ErrorCode::kFailedPrecondition,
                 cat("strategy.bucket is ", settings.bucket,
                     ", and secure aggregation hides a device among ", kMinMembers,
                     " at least; make it larger")};
  }
  if (RoundPlan asked; secure_aggregation) {
    asked.sum.cohort = kMinMembers;
    strategy->prepare(asked);
    if (asked.sum.max_staleness > 0) {
      return Error{ErrorCode::kFailedPrecondition,
                   cat("strategy '", name,
                       "' counts uploads after their round is over, and the masks of secure "
                       "aggregation cancel among one round's devices alone; set "
                       "round.secure_aggregation = false, or choose another strategy")};
    }
  }
  if (entry->patch && settings.server_optimizer != ServerOptimizerKind::kNone) {
    return Error{ErrorCode::kInvalidArgument,
                 cat("strategy '", name,
                     "' rewrites the factors of its patch each round: no server optimizer can take "
                     "that for a gradient; set strategy.server_optimizer = \"none\"")};
  }
  return with_server_optimizer(std::move(strategy), settings);
}

} // namespace coppice
