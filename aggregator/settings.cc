// SPDX-License-Identifier: Apache-2.0
#include "aggregator/settings.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "aggregator/strategy.h"
#include "base/text.h"
#include "config/recipe_keys.h"

namespace coppice {
namespace {

using enum SettingType;
constexpr double kDayMs = 24.0 * 3600 * 1000;

constexpr KeySpec kFleetKeys[] = {
    {"round", "strategy", kString, "fedavg", "How deltas become the next shared adapter."},
    {"round", "fraction_train", kFloat, "1", "Share of the ready devices that a round asks.", 1e-6,
     1},
    {"round", "min_available_nodes", kInt, "3", "Ready devices before a round starts.", 1, 1e5},
    {"round", "min_train_nodes", kInt, "3", "Devices that a round asks at least.", 1, 1e5},
    {"round", "max_train_nodes", kInt, "10000", "Devices that a round asks at most.", 1, 1e5},
    {"round", "min_survivors", kInt, "3", "Reports below which a round is abandoned.", 1, 1e5},
    {"round", "goal_fraction", kFloat, "1",
     "Share of the asked devices after whose reports a round closes early.", 1e-6, 1},
    {"round", "deadline", kDuration, "30m", "From the plan's signature to the round's end.", 1000,
     7 * kDayMs},
    {"round", "pause", kDuration, "0", "Between the end of a round and the next.", 0, 7 * kDayMs},
    {"round", "weighted_by", kChoice, "examples", "What a device's report counts for.", -INFINITY,
     INFINITY, "examples|uniform"},
    {"round", "examples_per_weight", kInt, "50",
     "Training windows that count as one unit of weight.", 1, 1e9},
    {"round", "max_weight", kInt, "8", "Largest weight of one device.", 1, 1024},
    {"round", "clip_norm", kFloat, "20",
     "L2 bound of a device's delta; larger ones are scaled down.", 1e-6, 1e9},
    {"round", "element_bound", kFloat, "0",
     "Bound of each element of a delta; 0: twice the sum of the learning rates of a round.", 0,
     1e9},
    {"round", "ring_bits", kInt, "16", "Bits an element on the wire: 16, 20, 24 or 32.", 16, 32},
    {"round", "sampling", kChoice, "fixed",
     "fixed: a drawn number of the ready devices; poisson: each enrolled device by itself, at "
     "fraction_train, which the accountant can build on.",
     -INFINITY, INFINITY, "fixed|poisson"},
    {"round", "secure_aggregation", kBool, "true",
     "The aggregator sees only the devices' sum, never one device's update."},
    {"round", "corrupt_fraction", kFloat, "0.1",
     "Share of a round's devices that may work with the aggregator, at most.", 0, 0.9},
    {"round", "dropout_fraction", kFloat, "0.1",
     "Share of a round's devices that may leave after masks are agreed on, at most.", 0, 0.9},
    {"round", "server_model", kChoice, "semi-malicious",
     "What an aggregator is assumed to do: follow the protocol, or also lie about who survived.",
     -INFINITY, INFINITY, "semi-malicious|semi-honest"},
    {"round", "rotate", kBool, "false",
     "Spread deltas over all coordinates, so that large cohorts need fewer ring bits."},
    {"round", "codec", kChoice, "none",
     "Smaller uploads: int8 and int4 round each value to 255 or 15 levels; top-k sends some of the "
     "values, the same for all devices, in turns.",
     -INFINITY, INFINITY, "none|int8|int4|top-k"},
    {"round", "top_k", kFloat, "0.1", "Share of the values that top-k sends in a round.", 0.001, 1},
    {"round", "error_feedback", kBool, "true",
     "With a codec: devices keep what it loses of their deltas, and add it to the next."},

    {"strategy", "server_optimizer", kChoice, "none",
     "What takes the devices' mean delta for a gradient.", -INFINITY, INFINITY,
     "none|momentum|adam|yogi|adagrad"},
    {"strategy", "server_learning_rate", kFloat, "0",
     "Its step size; 0: its own default (docs/strategies.md).", 0, 1e3},
    {"strategy", "server_momentum", kFloat, "0.9", "Of momentum.", 0, 0.999999},
    {"strategy", "beta1", kFloat, "0.9", "Of adam and yogi.", 0, 0.999999},
    {"strategy", "beta2", kFloat, "0.99", "Of adam and yogi.", 0, 0.999999},
    {"strategy", "tau", kFloat, "0.001", "Adaptivity of adam, yogi and adagrad.", 1e-12, 1e3},
    {"strategy", "loss_power", kFloat, "0.2",
     "Of qfedavg: devices count by their loss to this power.", 0, 10},
    {"strategy", "population", kInt, "0",
     "Of feddyn and scaffold: devices that take part now and then; 0: as many as a round asks, in "
     "a simulation all.",
     0, 1e10},
    {"strategy", "trim", kFloat, "0.2", "Share that trimmed-mean leaves out at each end.", 0, 0.49},
    {"strategy", "byzantine_fraction", kFloat, "0.2",
     "Share of a round's updates that may be hostile: what krum, multi-krum and bulyan allow for.",
     0, 0.49},
    {"strategy", "keep", kInt, "0", "Updates that multi-krum averages; 0: all but the hostile.", 0,
     1e5},
    {"strategy", "radius", kFloat, "0",
     "Norm that norm-bound shortens updates to; 0: the median norm.", 0, 1e9},
    {"strategy", "bucket", kInt, "1",
     "Devices whose mean counts as one update, for strategies that look at each.", 1, 1e5},
    {"strategy", "warmup_rounds", kInt, "4",
     "fedsb: releases for which both factors are trained, before cores are; they choose the span.",
     0, 1e6},
    {"strategy", "clusters", kInt, "2",
     "ifca: adapters of lora.r ranks each, of which every device has one; fixed at 'aggregator "
     "init'.",
     1, limits::kClusters},
    {"strategy", "buffer", kInt, "10", "fedbuff: uploads that make a release.", 1,
     limits::kClients},
    {"strategy", "max_staleness", kInt, "10",
     "fedbuff: releases that an upload may be late; later ones are refused.", 1,
     limits::kStaleness},
    {"strategy", "staleness_exponent", kFloat, "0.5",
     "fedbuff: an upload that is s releases late counts (1 + s) to the power of minus this.", 0,
     10},
    {"strategy", "patch_rank", kInt, "0",
     "Ranks above lora.r in which fedex and flora keep what the factors miss; fixed at 'aggregator "
     "init'. 0: twice lora.r.",
     0, 1024},

    {"privacy", "noise", kChoice, "none",
     "Who adds noise: central (the aggregator), skellam or discrete-gaussian (each device a "
     "share), "
     "banded (the aggregator, correlated over rounds: DP-FTRL).",
     -INFINITY, INFINITY, "none|central|skellam|discrete-gaussian|banded"},
    {"privacy", "noise_multiplier", kFloat, "0",
     "Noise over sensitivity; 0: the least that keeps epsilon over the planned rounds.", 0, 1e6},
    {"privacy", "epsilon", kFloat, "2", "Budget: no round starts that would exceed it.", 1e-6, 1e6},
    {"privacy", "delta", kFloat, "1e-6", "Of (epsilon, delta).", 1e-30, 0.1},
    {"privacy", "rounds", kInt, "1000", "Rounds that the budget is planned for.", 1, 1e7},
    {"privacy", "population", kInt, "0",
     "Devices that the promise is for; 0: those that are enrolled.", 0, 1e10},
    {"privacy", "bands", kInt, "8",
     "Banded noise: a device takes part at most once in so many rounds.", 1, 64},
    {"privacy", "max_participations", kInt, "1",
     "Banded noise: and at most so often in the planned rounds.", 1, 1e6},
    {"privacy", "clip_quantile", kFloat, "0",
     "Adapt clip_norm to this quantile of the devices' norms; 0: it stays.", 0, 1},

    {"retention", "releases", kInt, "10", "Newest releases whose contents are kept.", 2, 1e6},
    {"retention", "rounds", kInt, "1000", "Newest rounds that are listed.", 1, 1e9},

    {"retention", "min_free", kSize, "64MB",
     "Free space of the folder's disk below which no round starts; what a round needs is kept free "
     "in any case.",
     0, 1e15},

    {"network", "control", kString, "tcp://127.0.0.1:7410", "Where check-ins and plans arrive."},
    {"network", "bulk", kString, "tcp://127.0.0.1:7411",
     "Where uploads arrive and releases leave."},
    {"network", "enroll", kString, "tcp://127.0.0.1:7412", "Where new devices enrol."},
    {"network", "public_host", kString, "",
     "Host name or address that invites name; empty: the sockets' own."},
    {"network", "max_clients", kInt, "1000", "Devices connected at once, at most.", 1, 1e5},
    {"network", "uploads_at_once", kInt, "16", "Uploads received side by side; others wait.", 1,
     1000},
    {"network", "heartbeat", kDuration, "10s", "A silent device says that it is there after this.",
     100, kDayMs},
    {"network", "lease", kDuration, "30s", "Silence after which a device counts as gone.", 200,
     kDayMs},
    {"network", "reconnect_after", kDuration, "1s", "Devices come back no sooner after a loss.", 0,
     kDayMs},
    {"network", "reconnect_window", kDuration, "5s", "And spread over this long.", 0, kDayMs},
};

// [lora] and [training] stand first, as in a file.
constexpr auto kKeys = [] {
  std::array<KeySpec, std::size(kRecipeKeys) + std::size(kFleetKeys)> keys;
  std::copy(std::begin(kFleetKeys), std::end(kFleetKeys),
            std::copy(std::begin(kRecipeKeys), std::end(kRecipeKeys), keys.begin()));
  return keys;
}();

Recipe recipe_of(const Settings& settings) {
  Recipe recipe;
  read_recipe(settings, recipe);
  recipe.weight_by = settings.get_string("round.weighted_by") == "uniform" ? WeightBy::kUniform
                                                                           : WeightBy::kExamples;
  recipe.examples_per_weight =
      static_cast<std::uint32_t>(settings.get_int("round.examples_per_weight"));
  return recipe;
}

StrategySettings strategy_of(const Settings& settings) {
  StrategySettings strategy;
  strategy.name = strategy_name(settings.get_string("round.strategy")); // ours
  const std::string& optimizer = settings.get_string("strategy.server_optimizer");
  if (optimizer == "momentum") strategy.server_optimizer = ServerOptimizerKind::kMomentum;
  if (optimizer == "adam") strategy.server_optimizer = ServerOptimizerKind::kAdam;
  if (optimizer == "yogi") strategy.server_optimizer = ServerOptimizerKind::kYogi;
  if (optimizer == "adagrad") strategy.server_optimizer = ServerOptimizerKind::kAdagrad;
  strategy.server_learning_rate = settings.get_float("strategy.server_learning_rate");
  strategy.server_momentum = settings.get_float("strategy.server_momentum");
  strategy.beta1 = settings.get_float("strategy.beta1");
  strategy.beta2 = settings.get_float("strategy.beta2");
  strategy.tau = settings.get_float("strategy.tau");
  strategy.loss_power = settings.get_float("strategy.loss_power");
  strategy.population = static_cast<std::uint64_t>(settings.get_int("strategy.population"));
  strategy.trim = settings.get_float("strategy.trim");
  strategy.byzantine_fraction = settings.get_float("strategy.byzantine_fraction");
  strategy.keep = static_cast<std::uint32_t>(settings.get_int("strategy.keep"));
  strategy.radius = settings.get_float("strategy.radius");
  strategy.bucket = static_cast<std::uint32_t>(settings.get_int("strategy.bucket"));
  strategy.patch_rank = static_cast<std::uint32_t>(settings.get_int("strategy.patch_rank"));
  strategy.warmup_rounds = static_cast<std::uint32_t>(settings.get_int("strategy.warmup_rounds"));
  strategy.clusters = static_cast<std::uint32_t>(settings.get_int("strategy.clusters"));
  strategy.buffer = static_cast<std::uint32_t>(settings.get_int("strategy.buffer"));
  strategy.max_staleness = static_cast<std::uint32_t>(settings.get_int("strategy.max_staleness"));
  strategy.staleness_exponent = settings.get_float("strategy.staleness_exponent");
  return strategy;
}

PrivacySettings privacy_of(const Settings& settings) {
  PrivacySettings privacy;
  const std::string& noise = settings.get_string("privacy.noise");
  if (noise == "central") privacy.noise = NoiseKind::kCentral;
  if (noise == "skellam") privacy.noise = NoiseKind::kSkellam;
  if (noise == "discrete-gaussian") privacy.noise = NoiseKind::kDistributedGaussian;
  if (noise == "banded") privacy.noise = NoiseKind::kBanded;
  privacy.noise_multiplier = settings.get_float("privacy.noise_multiplier");
  privacy.epsilon = settings.get_float("privacy.epsilon");
  privacy.delta = settings.get_float("privacy.delta");
  privacy.rounds = static_cast<std::uint64_t>(settings.get_int("privacy.rounds"));
  privacy.population = static_cast<std::uint64_t>(settings.get_int("privacy.population"));
  privacy.bands = static_cast<std::uint32_t>(settings.get_int("privacy.bands"));
  privacy.max_participations =
      static_cast<std::uint32_t>(settings.get_int("privacy.max_participations"));
  privacy.clip_quantile = settings.get_float("privacy.clip_quantile");
  return privacy;
}

UploadCodec codec_of(const std::string& name) {
  if (name == "int8") return UploadCodec::kInt8;
  if (name == "int4") return UploadCodec::kInt4;
  return name == "top-k" ? UploadCodec::kTopK : UploadCodec::kNone;
}

// `first` is a plan as the strategy prepares it.
Result<void> check_codec(const AggregatorSettings& settings, const RoundPlan& first) {
  const RoundSettings& round = settings.round;
  const std::string& strategy = settings.strategy.name;
  const auto refuse = [](auto&&... words) -> Result<void> {
    return Error{ErrorCode::kInvalidArgument, cat(words...)};
  };
  if (round.codec == UploadCodec::kNone) return {};
  if (settings.privacy.noise != NoiseKind::kNone) {
    return refuse(
        "round.codec can't be combined with privacy.noise: noise is calibrated and "
        "accounted for rounds that send all of a delta at the ring's finest scale; set "
        "round.codec = none");
  }
  if (levels_of(round.codec) > 0 && round.rotate) {
    return refuse(
        "round.codec = int8 and int4 bound each value by itself, and round.rotate spreads "
        "values over all places, where only their norm is bounded: choose one of them");
  }
  if (first.recipe.correction != DriftCorrection::kNone) {
    return refuse("round.codec can't be combined with round.strategy = ", strategy,
                  ": its devices and the aggregator move their corrections by the same deltas, and "
                  "what a codec keeps back would set them apart; set round.codec = none");
  }
  if (round.error_feedback && first.recipe.clusters > 1) {
    return refuse("round.error_feedback can't be combined with round.strategy = ", strategy,
                  ": what an upload lost belongs to a cluster that its device may have left; set "
                  "round.error_feedback = false");
  }
  if (round.error_feedback && find_strategy(strategy)->refactors) {
    return refuse(
        "round.error_feedback can't be combined with round.strategy = ", strategy,
        ", which turns the factors each round: what an upload lost belongs to values that "
        "are gone; set round.error_feedback = false");
  }
  return {};
}

// Late uploads are decoded after the round that they were made for: nothing that holds for a whole
// round, or from one round to the next, can be had with them.
Result<void> check_late(const AggregatorSettings& settings, const RoundPlan& first) {
  const RoundSettings& round = settings.round;
  const auto refuse = [&](auto&&... words) -> Result<void> {
    return Error{ErrorCode::kInvalidArgument,
                 cat("round.strategy = ", settings.strategy.name, words...)};
  };
  if (first.sum.max_staleness == 0) return {};
  if (settings.privacy.noise != NoiseKind::kNone) {
    return refuse(
        " can't be combined with privacy.noise: noise is calibrated and accounted for the uploads "
        "of one round; set privacy.noise = none");
  }
  if (round.codec == UploadCodec::kTopK) {
    return refuse(
        " can't be combined with round.codec = top-k: values take turns by round, and late uploads "
        "bring those of a turn that is over");
  }
  if (round.keeps_feedback()) {
    return refuse(
        " can't be combined with round.error_feedback: what an upload lost waits for the next "
        "round, and a late upload counts when that has begun; set round.error_feedback = false");
  }
  if (settings.round.min_survivors > first.sum.goal) {
    return refuse(" makes a release from ", first.sum.goal,
                  " uploads, and round.min_survivors is above that; raise strategy.buffer");
  }
  return {};
}

Result<void> check(const AggregatorSettings& settings) {
  const auto refuse = [](std::string why) -> Result<void> {
    return Error{ErrorCode::kInvalidArgument, std::move(why)};
  };
  if (settings.training.max_steps == 0 && settings.training.max_tokens == 0) {
    return refuse("set training.max_steps or training.max_tokens: a round needs a budget");
  }
  if (settings.round.secure_aggregation && settings.round.min_survivors < kMinMembers) {
    return refuse(
        cat("round.secure_aggregation needs at least ", kMinMembers,
            " devices in a sum: set round.min_survivors and round.min_train_nodes to that"));
  }
  RoundPlan first;
  first.recipe = settings.training;
  first.sum.cohort = std::max(1U, settings.cohort.min_train);
  COPPICE_TRY(make_strategy(settings.strategy, false))->prepare(first);
  COPPICE_TRY(check_late(settings, first));
  const bool noise = settings.privacy.noise != NoiseKind::kNone;
  if (noise && !settings.round.secure_aggregation) {
    return refuse(
        "privacy.noise needs round.secure_aggregation = true: without it every un-noised update "
        "passes through the aggregator's memory and its running sum through the disk");
  }
  if (noise && settings.training.weight_by != WeightBy::kUniform) {
    return refuse(
        "privacy.noise needs round.weighted_by = uniform: one device's influence must not depend "
        "on how much text it has");
  }
  if (settings.privacy.clip_quantile > 0 && !noise) {
    return refuse(
        "privacy.clip_quantile adapts the clip from noised reports; set privacy.noise too");
  }
  if (settings.round.min_survivors > settings.cohort.min_train) {
    return refuse(
        "round.min_survivors is above round.min_train_nodes: a round could ask fewer "
        "devices than it needs");
  }
  if (settings.cohort.min_train > settings.cohort.max_cohort) {
    return refuse("round.min_train_nodes is above round.max_train_nodes");
  }
  if (settings.cohort.lease <= settings.heartbeat) {
    return refuse("network.lease must be longer than network.heartbeat");
  }
  if (settings.strategy.name == "scaffold" &&
      (settings.training.optimizer != LocalOptimizer::kSgd || settings.training.momentum != 0)) {
    return refuse(
        "round.strategy = scaffold reads mean gradients off deltas, which only plain SGD makes: "
        "set training.optimizer = sgd and training.momentum = 0");
  }
  if (noise && find_strategy(settings.strategy.name) != nullptr &&
      find_strategy(settings.strategy.name)->clusters) {
    return refuse(
        "privacy.noise can't be combined with round.strategy = ifca: how many devices are in each "
        "cluster would have to be noised, and divided by");
  }
  COPPICE_TRY(RingBits::make(settings.round.ring_bits));
  COPPICE_TRY(make_strategy(settings.strategy, settings.round.secure_aggregation));
  return check_codec(settings, first);
}

// AdamW moves an element by about the learning rate a step, so the sum of the rates bounds what
// training does; twice that leaves room for its first steps, where the second moment is small.
// SGD moves it by what the gradient is; the delta's own clip is the only bound then.
// A value that waits for its turn moves on meanwhile. For levels: Note [Bound of levels], once the
// values are counted.
double automatic_bound(const AggregatorSettings& settings) {
  const Recipe& recipe = settings.training;
  const RoundSettings& round = settings.round;
  if (levels_of(round.codec) > 0) return 0;
  if (recipe.optimizer == LocalOptimizer::kSgd) return round.clip_norm;
  const double steps =
      recipe.max_steps > 0
          ? recipe.max_steps
          : std::ceil(static_cast<double>(recipe.max_tokens) / recipe.batch_tokens);
  const double bound = 2.0 * static_cast<double>(recipe.learning_rate) * std::max(1.0, steps);
  if (round.codec != UploadCodec::kTopK || !round.error_feedback) return bound;
  return std::min(round.clip_norm, bound * turns_of_share(round.top_k));
}

} // namespace

std::span<const KeySpec> aggregator_keys() { return kKeys; }

Result<AggregatorSettings> aggregator_settings(const Settings& settings) {
  const auto count = [&](std::string_view name) {
    return static_cast<std::uint32_t>(settings.get_int(name));
  };
  AggregatorSettings made;
  made.lora.r = count("lora.r");
  made.lora.lora_alpha = static_cast<float>(settings.get_float("lora.lora_alpha"));
  made.lora.target_modules = settings.get_strings("lora.target_modules");
  made.lora.use_rslora = settings.get_bool("lora.use_rslora");
  made.training = recipe_of(settings);
  made.strategy = strategy_of(settings);
  made.round.min_survivors = count("round.min_survivors");
  made.round.goal_fraction = settings.get_float("round.goal_fraction");
  made.round.deadline = settings.get_duration("round.deadline");
  made.round.pause = settings.get_duration("round.pause");
  made.round.secure_aggregation = settings.get_bool("round.secure_aggregation");
  made.round.clip_norm = settings.get_float("round.clip_norm");
  made.round.element_bound = settings.get_float("round.element_bound");
  made.round.codec = codec_of(settings.get_string("round.codec"));
  made.round.top_k = settings.get_float("round.top_k");
  made.round.error_feedback = settings.get_bool("round.error_feedback");
  if (made.round.element_bound == 0) made.round.element_bound = automatic_bound(made);
  made.round.ring_bits = count("round.ring_bits");
  made.round.max_weight = count("round.max_weight");
  made.round.graph.corrupt = settings.get_float("round.corrupt_fraction");
  made.round.graph.dropout = settings.get_float("round.dropout_fraction");
  made.round.graph.server = settings.get_string("round.server_model") == "semi-honest"
                                ? ServerModel::kSemiHonest
                                : ServerModel::kSemiMalicious;
  made.round.rotate = settings.get_bool("round.rotate");
  made.privacy = privacy_of(settings);
  made.cohort.min_available = count("round.min_available_nodes");
  made.cohort.min_train = count("round.min_train_nodes");
  made.cohort.fraction_train = settings.get_float("round.fraction_train");
  made.cohort.poisson = settings.get_string("round.sampling") == "poisson";
  made.cohort.max_cohort = count("round.max_train_nodes");
  made.cohort.lease = settings.get_duration("network.lease");
  made.retention.releases = count("retention.releases");
  made.retention.rounds = count("retention.rounds");
  made.retention.min_free = settings.get_size("retention.min_free");
  made.endpoints = {settings.get_string("network.control"), settings.get_string("network.bulk"),
                    settings.get_string("network.enroll")};
  made.public_host = settings.get_string("network.public_host");
  made.max_clients = count("network.max_clients");
  made.uploads_at_once = count("network.uploads_at_once");
  made.heartbeat = settings.get_duration("network.heartbeat");
  made.reconnect_after = settings.get_duration("network.reconnect_after");
  made.reconnect_window = settings.get_duration("network.reconnect_window");
  COPPICE_TRY(check(made));
  return made;
}

} // namespace coppice
