// SPDX-License-Identifier: Apache-2.0
#include "client/serving.h"

#include "adapters/adapter_file.h"
#include "adapters/gguf_adapter.h"
#include "base/text.h"
#include "client/kept_rules.h"
#include "client/train_checkpoint.h"
#include "crypto/hash.h"

namespace coppice {
namespace {

constexpr std::size_t kMaxPersonalBytes = std::size_t{1} << 30U;

// What a personal adapter is only good with. The dual one's is the shared adapter's hash alone.
Sha256 personal_ground(const Sha256& shared_hash, PersonalMethod method) {
  if (method == PersonalMethod::kDual) return shared_hash;
  ByteWriter writer;
  writer.put_raw(shared_hash.span());
  writer.put(static_cast<std::uint8_t>(method));
  return sha256(writer.bytes());
}

Result<Adapter> stacked_uses(std::span<const AdapterUse> uses) {
  std::vector<const Adapter*> adapters;
  for (const AdapterUse& use : uses) adapters.push_back(use.adapter);
  if (adapters.size() == 1) return *adapters.front();
  return stack_adapters(adapters);
}

} // namespace

// personal/adapter: personal_ground(), then serialize_adapter()'s bytes.
Result<std::optional<PersonalAdapter>> Serving::personal() const {
  const fs::path path = folder_.directory() / "personal" / "adapter";
  if (!fs::exists(path)) return std::optional<PersonalAdapter>{};
  const Bytes raw = COPPICE_TRY(read_file(path, kMaxPersonalBytes));
  ByteReader reader(raw);
  const Sha256 below =
      COPPICE_TRY(Sha256::from_span(COPPICE_TRY(reader.take_raw(Sha256::kSize, "hash")), "hash"));
  Adapter adapter =
      COPPICE_TRY(parse_adapter(COPPICE_TRY(reader.take_raw(reader.left(), "adapter"))));
  return std::optional<PersonalAdapter>{PersonalAdapter{std::move(adapter), below}};
}

Result<Serving::Below> Serving::with_own(const SharedAdapter& shared) const {
  const Release& release = shared.release;
  const auto kept = COPPICE_TRY(
      KeptFile(folder_.kept_path())
          .counted({.fleet = release.fleet, .base = release.base_hash, .spec = release.spec_hash}));
  const auto received = std::make_shared<const Adapter>(shared.adapter);
  auto own = release_as_used(received, kept);
  if (own == received) return Below{received, release.adapter_hash};
  const Sha256 hash = sha256(serialize_adapter(*own));
  return Below{std::move(own), hash};
}

Result<std::optional<PersonalAdapter>> Serving::fresh_personal(const Below& on) const {
  auto found = COPPICE_TRY(personal());
  if (found && found->stands_on != personal_ground(on.hash, settings_.personal.method)) {
    found.reset();
  }
  return found;
}

Result<TrainOutcome> Serving::train_personal(Engine& engine, const SharedAdapter& shared,
                                             const ExampleSet& examples,
                                             std::function<Millis()> now,
                                             const std::atomic<bool>* stop) const {
  const Checkpointing checkpoint{
      .file = folder_.personal_training_path(),
      .base = COPPICE_TRY(folder_.base_hash(engine.base().path())),
      .every = settings_.resources.checkpoint_every,
      .discard_unfit = true}; // of another release, or text that has changed
  const Below on = COPPICE_TRY(with_own(shared));
  TrainOutcome outcome =
      COPPICE_TRY(train_personal_adapter(engine, *on.adapter, on.hash, settings_.personal, examples,
                                         std::move(now), stop, checkpoint));
  ByteWriter writer;
  writer.put_raw(personal_ground(on.hash, settings_.personal.method).span());
  writer.put_raw(serialize_adapter(outcome.adapter));
  COPPICE_TRY(write_file_atomically(folder_.directory() / "personal" / "adapter", writer.bytes(),
                                    FileMode::kPrivate));
  forget_checkpoint(checkpoint.file);
  return outcome;
}

Candidates Serving::candidates(const Below& on,
                               const std::optional<PersonalAdapter>& personal) const {
  return {.shared = *on.adapter,
          .personal = personal ? &personal->adapter : nullptr,
          .method = settings_.personal.method};
}

Result<GateOutcome> Serving::gate(Engine& engine, const SharedAdapter& shared,
                                  const ExampleSet& examples) const {
  const Below on = COPPICE_TRY(with_own(shared));
  const auto personal_adapter = COPPICE_TRY(fresh_personal(on));
  GateOutcome outcome =
      COPPICE_TRY(judge_adapters(engine, candidates(on, personal_adapter), examples));
  outcome.version = shared.release.version;
  COPPICE_TRY(write_current(on, outcome.served));
  Json json{{"served", static_cast<int>(outcome.served)},
            {"version", outcome.version.value},
            {"base", outcome.base},
            {"shared", outcome.shared}};
  if (outcome.personal) json["personal"] = *outcome.personal;
  COPPICE_TRY(write_file_atomically(folder_.directory() / "serving.json",
                                    as_bytes(dump_json(json, 2) + "\n"), FileMode::kPrivate));
  return outcome;
}

std::optional<GateOutcome> Serving::last_gate() const {
  const auto raw = read_file(folder_.directory() / "serving.json", 1 << 16);
  if (!raw.ok()) return std::nullopt;
  const auto json = parse_json(as_text(*raw));
  if (!json.ok()) return std::nullopt;
  const auto served = json_uint(*json, "served");
  const auto version = json_uint(*json, "version");
  const auto base = json_double(*json, "base");
  const auto shared = json_double(*json, "shared");
  const auto personal_loss = json_double_if(*json, "personal");
  if (!served.ok() || *served > 2 || !version.ok() || !base.ok() || !shared.ok() ||
      !personal_loss.ok()) {
    return std::nullopt;
  }
  return GateOutcome{static_cast<Served>(*served), AdapterVersion{*version}, *base, *shared,
                     *personal_loss};
}

Result<Report> Serving::report(Engine& engine, const SharedAdapter& shared,
                               const ExampleSet& examples) const {
  const Below on = COPPICE_TRY(with_own(shared));
  const auto personal_adapter = COPPICE_TRY(fresh_personal(on));
  Report made = COPPICE_TRY(report_adapters(engine, candidates(on, personal_adapter), examples));
  made.version = shared.release.version;
  Json json{{"version", made.version.value},
            {"base", made.base},
            {"shared", made.shared},
            {"bytes", made.bytes}};
  if (made.personal) json["personal"] = *made.personal;
  COPPICE_TRY(write_file_atomically(folder_.directory() / "report.json",
                                    as_bytes(dump_json(json, 2) + "\n"), FileMode::kPrivate));
  return made;
}

Result<std::optional<Adapter>> Serving::served_adapter(const SharedAdapter& shared) const {
  const auto decision = last_gate();
  if (!decision || decision->served == Served::kBase) return std::optional<Adapter>{};
  const Below on = COPPICE_TRY(with_own(shared));
  if (decision->served == Served::kShared) return std::optional<Adapter>{*on.adapter};
  const auto personal_adapter = COPPICE_TRY(fresh_personal(on));
  if (!personal_adapter) return std::optional<Adapter>{*on.adapter};
  return std::optional<Adapter>{COPPICE_TRY(stacked_uses(
      personal_uses(settings_.personal.method, *on.adapter, personal_adapter->adapter)))};
}

// An adapter that changes nothing where the base serves: llama.cpp can always be pointed at the
// file.
Result<void> Serving::write_current(const Below& on, Served served) const {
  const fs::path path = folder_.directory() / "current" / "adapter.gguf";
  if (served == Served::kBase) {
    return write_gguf_adapter(path, Adapter(on.adapter->shared_spec()));
  }
  if (served == Served::kShared) return write_gguf_adapter(path, *on.adapter);
  const auto personal_adapter = COPPICE_TRY(fresh_personal(on));
  COPPICE_CHECK(personal_adapter.has_value());
  return write_gguf_adapter(
      path, COPPICE_TRY(stacked_uses(
                personal_uses(settings_.personal.method, *on.adapter, personal_adapter->adapter))));
}

} // namespace coppice
