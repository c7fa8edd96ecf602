// SPDX-License-Identifier: Apache-2.0
// A run's beginning, its loop, and what follows from a round. Figures: simulation_report.cc.
#include "sim/simulation.h"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "adapters/adapter_file.h"
#include "aggregator/patch.h"
#include "aggregator/version_zero.h"
#include "base/text.h"
#include "client/upload_builder.h"
#include "crypto/hash.h"
#include "model/adapter_files.h"
#include "protocol/slot_packing.h"
#include "sim/keyed_bytes.h"
#include "sim/message_bytes.h"
#include "sim/training_learner.h"
#include "sim/virtual_identity.h"

namespace coppice {
namespace {

constexpr std::uint32_t kKeptDeltas = 8; // a round, for the figures of spread
constexpr std::chrono::seconds kBetweenStates{5};
constexpr const char* kKeptFolder = "kept"; // of KeptStates

// The least that machines can run on where nothing is trained: a round of a few elements, in a
// layer that is wide enough for a patch or clusters.
Result<Adapter> smallest_adapter(const AggregatorSettings& fleet) {
  const std::uint32_t width = std::max(1 + patch_rank(fleet), cluster_count(fleet));
  const Adapter adapter(std::make_shared<const AdapterSpec>(AdapterSpec{
      .architecture = "none",
      .targets = {{.tensor = "none", .in = width, .out = width, .rank = 1, .alpha = 1}}}));
  return version_zero(adapter, fleet);
}

std::vector<std::string> conditions_that_differ(const Json& before, const Json& now) {
  std::vector<std::string> names;
  for (const auto& [key, value] : now.items()) {
    if (before.contains(key) && before[key] != value) names.push_back(key);
  }
  return names;
}

double seconds_since(std::chrono::steady_clock::time_point began) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
}

} // namespace

Simulation::Simulation(SimulationParts parts, Ranks& ranks, std::optional<RunFolder> folder)
    : parts_(std::move(parts)), ranks_(ranks), folder_(std::move(folder)) {}
Simulation::~Simulation() = default;

Result<std::unique_ptr<Simulation>> Simulation::open(SimulationParts parts, Ranks& ranks,
                                                     std::optional<RunFolder> folder) {
  if (ranks.place().size > 1 && parts.scenario.secure_sum == SimulatedSum::kFull) {
    return Error{ErrorCode::kInvalidArgument,
                 "secure_sum = full runs in one process: masks of several would not cancel; set "
                 "secure_sum = exact, which gives the same sums"};
  }
  if (!parts.identities.empty() && parts.scenario.secure_sum == SimulatedSum::kFull) {
    return Error{ErrorCode::kInvalidArgument,
                 "a real fleet's devices sign with keys that are nobody else's: set secure_sum = "
                 "exact, which gives the same sums"};
  }
  std::unique_ptr<Simulation> made(new Simulation(std::move(parts), ranks, std::move(folder)));
  COPPICE_TRY(made->prepare());
  return made;
}

Result<void> Simulation::prepare() {
  facts_.fleet = sha256(virtual_fleet_key().public_key().span());
  facts_.test = true;
  if (parts_.base) {
    facts_.base_hash = COPPICE_TRY(sha256_file(parts_.base->path()));
    facts_.base_bytes = fs::file_size(parts_.base->path());
    facts_.base_name = parts_.base->path().filename().string();
  }
  COPPICE_TRY(prepare_devices());
  COPPICE_TRY(prepare_adapter());
  COPPICE_TRY(check_conditions());
  COPPICE_TRY(restore());
  participation_.emplace(*population_);
  adapter_ = COPPICE_TRY(parse_adapter(state_.adapter));
  ledger_ = COPPICE_TRY(PrivacyLedger::of(state_.spends));
  return {};
}

Result<void> Simulation::check_conditions() {
  if (!folder_) return {};
  Json conditions{{"base_sha256", facts_.base_hash.hex()},
                  {"adapter_sha256", sha256(state_.adapter).hex()}};
  if (data_) conditions["data_sha256"] = data_->hash().hex();
  const auto differing = conditions_that_differ(folder_->manifest(), conditions);
  if (!differing.empty()) {
    return Error{ErrorCode::kFailedPrecondition,
                 cat("the run was begun with another ", join(differing, ", "),
                     "; begin a new one in another folder")};
  }
  return folder_->add_to_manifest(conditions);
}

// From the folder, on the rank that has one, and from there to all.
Result<void> Simulation::restore() {
  if (folder_) {
    auto stored = COPPICE_TRY(folder_->restore(*population_));
    if (stored) state_ = std::move(*stored);
    if (kept_) COPPICE_TRY(kept_->restore(folder_->path() / kKeptFolder, state_.rounds));
  }
  if (ranks_.place().size == 1) return {};
  Bytes bytes = folder_ ? encode_state(state_, *population_) : Bytes{};
  COPPICE_TRY(ranks_.broadcast(bytes, 0));
  state_ = COPPICE_TRY(decode_state(bytes, *population_));
  return {};
}

Result<void> Simulation::store() {
  if (!folder_) return {};
  if (kept_) COPPICE_TRY(kept_->store(folder_->path() / kKeptFolder, state_.rounds));
  return folder_->store(state_, *population_);
}
Result<void> Simulation::add_event(const Json& event) {
  return folder_ ? folder_->add_event(event) : Result<void>{};
}

// Data, population, and who works.
Result<void> Simulation::prepare_devices() {
  const Scenario& scenario = parts_.scenario;
  std::uint64_t devices = scenario.population.devices;
  if (scenario.training == TrainingKind::kLora) {
    data_ = COPPICE_TRY(
        open_client_data(scenario.data, parts_.scenario_folder, devices, scenario.seed));
    if (devices == 0) devices = data_->clients();
  }
  if (!parts_.identities.empty() && parts_.identities.size() != devices) {
    return Error{ErrorCode::kInvalidArgument, cat(parts_.identities.size(), " identities for ",
                                                  devices, " devices; there must be one each")};
  }
  Availability availability = Availability::always();
  if (scenario.population.availability == AvailabilityKind::kHours) {
    availability = Availability::by_hours(scenario.seed);
  } else if (scenario.population.availability == AvailabilityKind::kTrace) {
    availability =
        COPPICE_TRY(Availability::read(parts_.scenario_folder / scenario.population.trace));
  }
  population_ = COPPICE_TRY(
      Population::make(scenario.population, std::move(availability), devices, scenario.seed));
  COPPICE_TRY(prepare_strategy());
  if (scenario.training == TrainingKind::kNone) {
    learner_ = idle_learner();
    return {};
  }
  const unsigned workers =
      scenario.workers > 0 ? scenario.workers : std::max(1U, std::thread::hardware_concurrency());
  adder_ = std::make_unique<UploadAdder>();
  team_ = std::make_unique<EngineTeam>(parts_.engine, workers, parts_.packs);
  learner_ = training_learner(
      *team_, *data_, *parts_.base,
      {.client_of = [clients = data_->clients()](DeviceNumber device) { return device % clients; },
       .max_rank_of =
           [this](DeviceNumber device) { return population_->class_of(device).max_rank; },
       .pack = scenario.pack,
       .keep_deltas = kKeptDeltas,
       .place = ranks_.place(),
       .attack = scenario.attack,
       .seed = scenario.seed,
       .kept = kept_.get()});
  evaluation_ = COPPICE_TRY(
      Evaluation::make(scenario, parts_.scenario_folder, *parts_.base, *data_, *team_, ranks_));
  return {};
}

Result<Adapter> Simulation::first_adapter() const {
  const Scenario& scenario = parts_.scenario;
  if (!parts_.base) return smallest_adapter(scenario.fleet);
  if (!scenario.adapter.empty()) {
    const LoadedAdapter loaded = COPPICE_TRY(load_adapter(
        parts_.scenario_folder / scenario.adapter, parts_.base.get(), PeftRows::kHuggingFace));
    return version_zero(loaded.adapter, scenario.fleet);
  }
  const LoraSettings& lora = scenario.fleet.lora;
  AdapterSpec spec = COPPICE_TRY(parts_.base->make_spec(
      lora.r, lora.lora_alpha,
      lora.use_rslora ? LoraScaling::kRankStabilized : LoraScaling::kStandard,
      lora.target_modules));
  // As `aggregator init` writes version 0.
  return version_zero(Adapter::initial(std::make_shared<const AdapterSpec>(std::move(spec)), 0),
                      scenario.fleet);
}

Result<void> Simulation::prepare_adapter() {
  Adapter first = COPPICE_TRY(first_adapter());
  full_spec_ = first.shared_spec();
  if (parts_.scenario.training == TrainingKind::kNone) {
    first = COPPICE_TRY(smallest_adapter(parts_.scenario.fleet));
  }
  state_.adapter = serialize_adapter(first);
  state_.clip_norm = parts_.scenario.fleet.round.clip_norm;
  return {};
}

bool Simulation::more_rounds() const {
  const Scenario& scenario = parts_.scenario;
  const bool in_time = scenario.time_limit.count == 0 || state_.time < scenario.time_limit;
  return !state_.ended && state_.rounds < scenario.rounds && in_time;
}

Result<SimulationEnd> Simulation::run(const std::atomic<bool>* stop, const OnRound& on_round) {
  if (state_.event_bytes == 0 && evaluation_) COPPICE_TRY(evaluate()); // a run that begins
  COPPICE_TRY(store());
  auto stored_at = std::chrono::steady_clock::now();
  end_.reason = "all rounds were played";
  while (more_rounds()) {
    const auto began = std::chrono::steady_clock::now();
    const std::uint64_t trained = end_.trained;
    const std::uint64_t tokens = end_.tokens;
    COPPICE_TRY(play_round(stop, on_round));
    const double seconds = seconds_since(began);
    end_.seconds += seconds;
    if (folder_) {
      COPPICE_TRY(folder_->add_timing({{"round", state_.rounds},
                                       {"seconds", seconds},
                                       {"trained", end_.trained - trained},
                                       {"tokens", end_.tokens - tokens}}));
    }
    const bool last = !more_rounds();
    if (last && !state_.ended && state_.rounds < parts_.scenario.rounds) {
      end_.reason = "its virtual time is over";
    }
    if (evaluation_ && (last || state_.rounds % parts_.scenario.report.every == 0)) {
      COPPICE_TRY(evaluate());
    }
    if (last) COPPICE_TRY(conclude());
    if (last || began - stored_at > kBetweenStates || team_) {
      COPPICE_TRY(store());
      stored_at = std::chrono::steady_clock::now();
    }
  }
  end_.rounds = state_.rounds;
  end_.releases = state_.releases;
  end_.time = state_.time;
  end_.bytes_up = state_.bytes_up;
  end_.bytes_down = state_.bytes_down;
  end_.joules = state_.joules;
  end_.epsilon = COPPICE_TRY(ledger_.epsilon(parts_.scenario.fleet.privacy.delta));
  return end_;
}

// None: the budget doesn't allow another round.
Result<std::optional<RoundPlan>> Simulation::next_plan(std::uint32_t cohort) {
  AggregatorSettings& settings = parts_.scenario.fleet;
  settings.round.clip_norm = state_.clip_norm;
  PlanInputs inputs{.round = RoundId{state_.rounds + 1},
                    .epoch = Epoch{1},
                    .key_set = KeySetNumber{1},
                    .parent = state_.version,
                    .adapter_hash = sha256(state_.adapter),
                    .cohort = cohort};
  inputs.privacy = privacy_terms(settings, cohort, population_->size());
  PlanInputs priced = inputs;
  const double share = stand_for_more(priced);
  double& multiplier = priced.privacy.noise_multiplier;
  if (has_noise(settings) && multiplier == 0) {
    if (!planned_multiplier_) {
      planned_multiplier_ = COPPICE_TRY(
          planned_noise_multiplier(facts_, settings, *strategy_, adapter_->spec(), priced));
    }
    multiplier = *planned_multiplier_;
  }
  inputs.privacy.noise_multiplier = multiplier * share;
  RoundPlan plan = COPPICE_TRY(make_plan(facts_, settings, *strategy_, adapter_->spec(), inputs));
  priced_ = share == 1
                ? plan
                : COPPICE_TRY(make_plan(facts_, settings, *strategy_, adapter_->spec(), priced));
  const double total = COPPICE_TRY(epsilon_with_plan(ledger_, settings.privacy, priced_));
  if (has_noise(settings) && total > settings.privacy.epsilon) return std::optional<RoundPlan>{};
  plan.privacy.cumulative_epsilon = priced_.privacy.cumulative_epsilon = total;
  return std::optional<RoundPlan>{std::move(plan)};
}

// Simulation only: a larger cohort, drawn at its own rate from the same population, is what is paid
// for, and the mean over the cohort that trains gets the noise that the larger one's would have.
// Gives the share of its noise that does that.
double Simulation::stand_for_more(PlanInputs& inputs) const {
  const double larger = parts_.scenario.noise_cohort;
  if (larger == 0 || !has_noise(parts_.scenario.fleet)) return 1;
  const double smaller = inputs.privacy.expected_cohort;
  inputs.cohort = parts_.scenario.noise_cohort;
  inputs.privacy.expected_cohort = parts_.scenario.noise_cohort;
  inputs.privacy.sampling_rate = std::min(1.0, inputs.privacy.sampling_rate * larger / smaller);
  return smaller / larger;
}

// What a device that trained the model would send, whatever the machines here carry.
Result<RoundWeights> Simulation::weights_of(const RoundPlan& plan) const {
  RoundPlan real = plan;
  if (parts_.scenario.training == TrainingKind::kNone && parts_.base) {
    PlanInputs inputs{.round = plan.round,
                      .epoch = plan.epoch,
                      .key_set = plan.key_set,
                      .parent = plan.parent,
                      .adapter_hash = plan.adapter_hash,
                      .cohort = plan.sum.cohort,
                      .privacy = plan.privacy};
    real = COPPICE_TRY(make_plan(facts_, parts_.scenario.fleet, *strategy_, *full_spec_, inputs));
  }
  // A release's step has 16 bits for each parameter, whether it has a slot or not.
  const std::uint64_t parameters = full_spec_->parameters();
  return RoundWeights{.plan_bytes = real.encode().size() + kEnvelopeBytes,
                      .release_bytes = parameters * 2 + kEnvelopeBytes +
                                       (has_control(plan.recipe) ? parameters * 4 : 0),
                      .upload_bytes = packed_slots_size(real.slots) + kUploadOverheadBytes};
}

Result<void> Simulation::play_round(const std::atomic<bool>* stop, const OnRound& on_round) {
  members_ = COPPICE_TRY(gather(stop));
  if (members_.empty()) {
    end_.reason = "there were never enough devices for a round";
    state_.ended = true;
    return {};
  }
  auto plan = COPPICE_TRY(next_plan(static_cast<std::uint32_t>(members_.size())));
  if (!plan) {
    end_.reason = "the privacy budget is spent: another round would exceed it";
    state_.ended = true;
    return {};
  }
  outcome_.reset();
  deltas_.clear();
  tokens_ = clipped_ = clamped_ = 0;
  const Nanos began = state_.time;
  RoundPlay play(
      {.scenario = parts_.scenario,
       .population = *population_,
       .plan = *plan,
       .start = &*adapter_,
       .control = COPPICE_TRY(control_for(plan->recipe)),
       .weights = COPPICE_TRY(weights_of(*plan)),
       .members = members_,
       .identities = parts_.identities,
       .starts = began,
       .late = state_.late,
       .adder = adder_.get()},
      *learner_, [&](const CountedSums& sums) { return finish(*plan, sums); },
      [&](DeviceNumber device, const Learned& learned) {
        if (learned.delta) deltas_.emplace_back(device, *learned.delta);
        tokens_ += learned.tokens;
        clipped_ += learned.encoded.clip_factor < 1 ? 1 : 0;
        clamped_ += learned.encoded.clamped;
      });
  const PlayedRound played = COPPICE_TRY(play.run(stop));
  settle_kept(played);
  state_.rounds += 1;
  state_.time = played.ended + nanos(parts_.scenario.fleet.round.pause);
  state_.bytes_up += played.traffic.bytes_up;
  state_.bytes_down += played.traffic.bytes_down;
  state_.joules += played.traffic.joules;
  end_.trained += played.trained;
  end_.events += played.traffic.events;
  for (const DeviceNumber device : played.counted) took_part(device);
  settle_late(played);
  COPPICE_TRY(share_figures());
  state_.tokens += tokens_;
  end_.tokens += tokens_;
  COPPICE_TRY(write_round(*plan, began, played));
  if (played.released) { // only now: the event speaks of the adapter that the round began with
    adapter_ = std::move(outcome_->adapter);
    state_.adapter = serialize_adapter(*adapter_);
    state_.version = state_.version.next();
  }
  if (on_round) {
    RoundNews news{.round = state_.rounds, .played = played};
    for (const MetricMean& metric : outcome_ ? outcome_->metrics : std::vector<MetricMean>{}) {
      if (metric.name == kMetricLossBefore) news.loss_before = metric.mean;
      if (metric.name == kMetricLossAfter) news.loss_after = metric.mean;
    }
    on_round(news);
  }
  return {};
}

// What each rank knows of the clients that it trained, to all: the events must be the same.
Result<void> Simulation::share_figures() {
  std::ranges::sort(deltas_);
  if (ranks_.place().size == 1) return {};
  ByteWriter writer;
  writer.put(tokens_);
  writer.put(clipped_);
  writer.put(clamped_);
  writer.put<std::uint64_t>(deltas_.size());
  for (const auto& [device, delta] : deltas_) {
    writer.put(device);
    for (const float value : delta) writer.put(value);
  }
  tokens_ = clipped_ = clamped_ = 0;
  deltas_.clear();
  for (const Bytes& bytes : COPPICE_TRY(ranks_.all_gather(writer.bytes()))) {
    ByteReader reader(bytes);
    tokens_ += COPPICE_TRY(reader.take<std::uint64_t>("tokens"));
    clipped_ += COPPICE_TRY(reader.take<std::uint64_t>("clipped"));
    clamped_ += COPPICE_TRY(reader.take<std::uint64_t>("clamped"));
    const auto count = COPPICE_TRY(reader.take<std::uint64_t>("deltas"));
    for (std::uint64_t i = 0; i < count; ++i) {
      const auto device = COPPICE_TRY(reader.take<std::uint64_t>("device"));
      std::vector<float> delta(adapter_->values().size());
      for (float& value : delta) value = COPPICE_TRY(reader.take<float>("delta"));
      deltas_.emplace_back(device, std::move(delta));
    }
    COPPICE_TRY(reader.expect_end("a rank's figures"));
  }
  std::ranges::sort(deltas_);
  return {};
}

// As the service does when it makes a release, in its order: noise, price, step, next clip.
Result<AdapterVersion> Simulation::finish(const RoundPlan& plan, const CountedSums& sums) {
  const AggregatorSettings& settings = parts_.scenario.fleet;
  std::vector<std::uint32_t> elements(sums.elements.begin(), sums.elements.end());
  if (ranks_.place().size > 1) {
    COPPICE_TRY(ranks_.sum(elements));
    std::size_t at = 0;
    for (std::uint32_t group = 0; group < plan.sum.groups; ++group) {
      for (const Slot& slot : plan.slots) {
        for (std::uint32_t i = 0; i < slot.elements; ++i) elements[at++] &= slot.bits.mask();
      }
    }
  }
  KeyedBytes source({.experiment = parts_.scenario.seed,
                     .round = plan.round.value,
                     .client = ~std::uint64_t{0},
                     .purpose = RandomPurpose::kSimulation,
                     .step = kNoiseBytes});
  state_.noise = COPPICE_TRY(
      add_noise_to_sum(ledger_, settings.privacy, plan, state_.noise, source, elements));
  StrategyState kept = COPPICE_TRY(StrategyState::decode(state_.strategy));
  outcome_ = COPPICE_TRY(
      finish_round(plan, *strategy_, {elements, sums.participants, sums.late}, *adapter_, kept));
  state_.strategy = kept.encode();
  if (has_noise(settings)) {
    state_.spends.push_back(spend_of(ledger_, settings.privacy, priced_, millis(state_.time)));
    ledger_ = COPPICE_TRY(PrivacyLedger::of(state_.spends));
  }
  if (const auto clip = COPPICE_TRY(adapted_clip(settings, outcome_->metrics))) {
    state_.clip_norm = *clip;
  }
  state_.releases.push_back(sha256(serialize_adapter(outcome_->adapter)));
  return state_.version.next();
}

} // namespace coppice
