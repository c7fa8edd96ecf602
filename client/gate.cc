// SPDX-License-Identifier: Apache-2.0
#include "client/gate.h"

#include "base/text.h"

namespace coppice {
namespace {

Result<double> nats_per_token(Engine& engine, std::span<const AdapterUse> adapters,
                              const std::vector<TokenizedDocument>& documents) {
  const auto scored = COPPICE_TRY(score_documents(engine, adapters, documents));
  return scored.score.nats / static_cast<double>(std::max<std::uint64_t>(1, scored.score.tokens));
}

Result<double> bits_per_byte_of(Engine& engine, std::span<const AdapterUse> adapters,
                                const std::vector<TokenizedDocument>& documents) {
  const auto scored = COPPICE_TRY(score_documents(engine, adapters, documents));
  return bits_per_byte(scored.score, scored.bytes);
}

} // namespace

const char* served_name(Served served) {
  switch (served) {
    case Served::kBase: return "base";
    case Served::kShared: return "shared";
    case Served::kPersonal: return "personal";
  }
  return "unknown";
}

std::vector<AdapterUse> personal_uses(PersonalMethod method, const Adapter& shared,
                                      const Adapter& personal) {
  if (method == PersonalMethod::kDual) return {{&shared, 1.0F}, {&personal, 1.0F}};
  return {{&personal, 1.0F}};
}

Result<GateOutcome> judge_adapters(Engine& engine, const Candidates& candidates,
                                   const ExampleSet& examples) {
  GateOutcome outcome;
  outcome.base = COPPICE_TRY(nats_per_token(engine, {}, examples.gate));
  const AdapterUse shared{&candidates.shared, 1.0F};
  outcome.shared = COPPICE_TRY(nats_per_token(engine, {&shared, 1}, examples.gate));
  double best = outcome.base;
  if (outcome.shared < best) {
    best = outcome.shared;
    outcome.served = Served::kShared;
  }
  if (candidates.personal != nullptr) {
    const auto uses = personal_uses(candidates.method, candidates.shared, *candidates.personal);
    outcome.personal = COPPICE_TRY(nats_per_token(engine, uses, examples.gate));
    if (*outcome.personal < best) outcome.served = Served::kPersonal;
  }
  return outcome;
}

Result<Report> report_adapters(Engine& engine, const Candidates& candidates,
                               const ExampleSet& examples) {
  Report made;
  for (const TokenizedDocument& document : examples.report) made.bytes += document.bytes;
  made.base = COPPICE_TRY(bits_per_byte_of(engine, {}, examples.report));
  const AdapterUse shared{&candidates.shared, 1.0F};
  made.shared = COPPICE_TRY(bits_per_byte_of(engine, {&shared, 1}, examples.report));
  if (candidates.personal != nullptr) {
    const auto uses = personal_uses(candidates.method, candidates.shared, *candidates.personal);
    made.personal = COPPICE_TRY(bits_per_byte_of(engine, uses, examples.report));
  }
  return made;
}

Result<TrainRequest> personal_training(const Adapter& shared, const Sha256& shared_hash,
                                       const PersonalSettings& settings,
                                       std::function<Millis()> now) {
  std::uint64_t seed = 0;
  std::memcpy(&seed, shared_hash.bytes.data(), sizeof(seed));
  TrainRequest request{.recipe = settings.recipe,
                       .randomness = {.experiment = seed, .purpose = RandomPurpose::kBatchOrder},
                       .frozen = {},
                       .start = {},
                       .now = std::move(now),
                       .on_step = {}};
  if (settings.method != PersonalMethod::kDual) {
    request.start = std::make_shared<const Adapter>(shared);
    return request;
  }
  AdapterSpec spec = shared.spec();
  for (AdapterTarget& target : spec.targets) {
    target.rank = settings.rank;
    target.alpha = settings.alpha;
  }
  COPPICE_TRY(spec.validate());
  request.frozen = {{&shared, 1.0F}};
  request.start = std::make_shared<const Adapter>(
      Adapter::initial(std::make_shared<const AdapterSpec>(std::move(spec)), seed));
  return request;
}

Result<TrainOutcome> train_personal_adapter(Engine& engine, const Adapter& shared,
                                            const Sha256& shared_hash,
                                            const PersonalSettings& settings,
                                            const ExampleSet& examples, std::function<Millis()> now,
                                            const std::atomic<bool>* stop,
                                            std::optional<Checkpointing> checkpoint) {
  TrainRequest request =
      COPPICE_TRY(personal_training(shared, shared_hash, settings, std::move(now)));
  request.stop = stop;
  request.checkpoint = std::move(checkpoint);
  return train_adapter(engine, examples, std::move(request));
}

} // namespace coppice
