// SPDX-License-Identifier: Apache-2.0
#include "client/train_checkpoint.h"

#include <algorithm>
#include <cmath>

#include "base/text.h"
#include "crypto/hash.h"

namespace coppice {
namespace {

constexpr std::uint32_t kCheckpointMagic = 0x43545043; // "CPTC"
constexpr std::uint32_t kCheckpointVersion = 1;
constexpr std::size_t kEngineBytes = 64; // its name, filled with zeros
constexpr std::size_t kHeadBytes = 2 * 4 + 5 * Sha256::kSize + kEngineBytes + 6 * 8 + 5 * 8 + 2 * 4;
static_assert(kHeadBytes % alignof(double) == 0); // so that the floats after it are aligned

Error of_another(const char* what) {
  return {ErrorCode::kInvalidArgument, cat("the checkpoint was made with another ", what,
                                           "; give that again, or remove the file to start anew")};
}

void put_engine(ByteWriter& writer, const std::string& name) {
  Bytes field(kEngineBytes);
  std::copy_n(name.begin(), std::min(name.size(), kEngineBytes), field.begin());
  writer.put_raw(field);
}

// Every field, by name: one that is added to Recipe makes this fail to compile.
Bytes recipe_bytes(const Recipe& recipe) {
  const auto& [learning_rate, schedule, warmup_steps, max_steps, max_tokens, max_seconds,
               batch_tokens, window, weight_decay, max_gradient_norm, proximal_mu, train_a, train_b,
               early_stop_patience, evaluate_every, weight_by, examples_per_weight, seed, optimizer,
               momentum, normalize_by_steps, share_a, share_b, trained_rank, correction, loss_power,
               core, clusters] = recipe;
  ByteWriter writer;
  const auto put = [&](const auto&... fields) { (writer.put(fields), ...); };
  put(learning_rate, static_cast<std::uint8_t>(schedule), warmup_steps, max_steps, max_tokens,
      max_seconds, batch_tokens, window, weight_decay, max_gradient_norm, proximal_mu, train_a,
      train_b, early_stop_patience, evaluate_every, static_cast<std::uint8_t>(weight_by),
      examples_per_weight, seed, static_cast<std::uint8_t>(optimizer), momentum, normalize_by_steps,
      share_a, share_b, trained_rank, static_cast<std::uint8_t>(correction), loss_power, core,
      clusters);
  return std::move(writer).take();
}

void hash_adapter(Sha256Hasher& hasher, const Adapter& adapter, float strength) {
  const Bytes spec = adapter.spec().encode();
  ByteWriter head;
  head.put(std::uint64_t{spec.size()});
  head.put(strength);
  hasher.update(head.bytes());
  hasher.update(spec);
  hasher.update(as_bytes(adapter.values()));
}

Sha256 start_hash(const TrainRequest& request) {
  Sha256Hasher hasher;
  const RandomKey& key = request.randomness;
  ByteWriter head;
  head.put(key.experiment);
  head.put(key.round);
  head.put(key.client);
  head.put(static_cast<std::uint32_t>(key.purpose));
  head.put(key.step);
  head.put(std::uint64_t{request.frozen.size()});
  hasher.update(head.bytes());
  for (const AdapterUse& use : request.frozen) hash_adapter(hasher, *use.adapter, use.strength);
  hash_adapter(hasher, *request.start, 1.0F);
  if (request.gradient_offset) hasher.update(as_bytes(std::span(*request.gradient_offset)));
  return hasher.finish();
}

Sha256 text_hash(const ExampleSet& examples) {
  Sha256Hasher hasher;
  for (const auto* documents : {&examples.train, &examples.gate}) {
    ByteWriter count;
    count.put(std::uint64_t{documents->size()});
    hasher.update(count.bytes());
    for (const TokenizedDocument& document : *documents) {
      ByteWriter size;
      size.put(std::uint64_t{document.tokens.size()});
      hasher.update(size.bytes());
      hasher.update(as_bytes(std::span(document.tokens)));
      hasher.update(document.targets);
    }
  }
  return hasher.finish();
}

std::span<const float> floats_at(ByteSpan bytes, std::size_t at, std::size_t count) {
  return {reinterpret_cast<const float*>(bytes.data() + at), count};
}

bool finite(std::span<const float> values) {
  return std::ranges::all_of(values, [](float value) { return std::isfinite(value); });
}

// Reads past the identity's fields, or says which of them differs.
Result<void> check_identity(ByteReader& reader, const TrainIdentity& identity) {
  const auto same = [&](const Sha256& wanted) -> Result<bool> {
    const ByteSpan raw = COPPICE_TRY(reader.take_raw(Sha256::kSize, "a hash"));
    return std::ranges::equal(raw, wanted.span());
  };
  if (!COPPICE_TRY(same(identity.base))) return of_another("base model");
  if (!COPPICE_TRY(same(identity.spec)))
    return of_another("kind of adapter (rank, scale, modules)");
  if (!COPPICE_TRY(same(identity.recipe))) return of_another("recipe (steps, learning rate, ...)");
  if (!COPPICE_TRY(same(identity.text))) return of_another("text");
  if (!COPPICE_TRY(same(identity.start))) return of_another("adapter to start from, or below");
  ByteWriter wanted;
  put_engine(wanted, identity.engine);
  const ByteSpan engine = COPPICE_TRY(reader.take_raw(kEngineBytes, "the engine"));
  if (!std::ranges::equal(engine, wanted.bytes())) {
    return of_another("engine, instruction level or memory, whose floats differ");
  }
  return {};
}

} // namespace

TrainIdentity identity_of(const Engine& engine, const ExampleSet& examples,
                          const TrainRequest& request, const Sha256& base) {
  const EngineInfo info = engine.info();
  const Recipe& recipe = request.recipe;
  const std::size_t longest = std::min<std::size_t>(recipe.window, engine.base().config().context);
  // Passes of other sizes add gradients up in another order.
  const auto plan = engine.plan_training(request.start->spec(), longest, recipe.batch_tokens);
  return {.base = base,
          .spec = sha256(request.start->spec().encode()),
          .recipe = sha256(recipe_bytes(recipe)),
          .text = text_hash(examples),
          .start = start_hash(request),
          .engine = cat(info.name, " ", info.device, " ", info.instruction_level, " ",
                        plan.ok() ? plan->pass_tokens : 0)};
}

CheckpointBytes serialize_checkpoint(const TrainIdentity& identity,
                                     const TrainCheckpoint& checkpoint) {
  ByteWriter writer;
  writer.put(kCheckpointMagic);
  writer.put(kCheckpointVersion);
  for (const Sha256* hash :
       {&identity.base, &identity.spec, &identity.recipe, &identity.text, &identity.start}) {
    writer.put_raw(hash->span());
  }
  put_engine(writer, identity.engine);
  const TrainState& state = checkpoint.state;
  for (const std::uint64_t number :
       {state.steps, checkpoint.tokens, checkpoint.position.epoch, checkpoint.position.window,
        checkpoint.looked_at, static_cast<std::uint64_t>(checkpoint.elapsed.count)}) {
    writer.put(number);
  }
  for (const double number : {checkpoint.gate_before, checkpoint.loss_first, checkpoint.loss_last,
                              checkpoint.seconds, checkpoint.best_loss}) {
    writer.put(number);
  }
  writer.put(checkpoint.without_gain);
  writer.put(std::uint32_t{checkpoint.best.empty() ? 0U : 1U});
  COPPICE_CHECK(writer.size() == kHeadBytes);

  CheckpointBytes made{.head = std::move(writer).take(), .floats = {}, .hash = {}};
  Sha256Hasher hasher;
  hasher.update(made.head);
  for (const auto part : {state.values, state.first_moment, state.second_moment, checkpoint.best}) {
    made.floats.push_back(as_bytes(part));
    hasher.update(made.floats.back());
  }
  made.hash = hasher.finish();
  return made;
}

Result<TrainCheckpoint> parse_checkpoint(ByteSpan bytes, const TrainIdentity& identity,
                                         std::size_t parameters) {
  ByteReader reader(bytes);
  const auto magic = reader.take<std::uint32_t>("the magic");
  if (!magic.ok() || *magic != kCheckpointMagic) {
    return corrupt_data("this is no checkpoint of a training; name another file");
  }
  const auto version = COPPICE_TRY(reader.take<std::uint32_t>("the version"));
  if (version != kCheckpointVersion) {
    return Error{
        ErrorCode::kUnsupported,
        cat("the checkpoint has version ", version, ", this program reads version ",
            kCheckpointVersion, "; finish with the program that wrote it, or remove the file")};
  }
  const std::size_t end = bytes.size() - std::min(bytes.size(), Sha256::kSize);
  if (end < kHeadBytes ||
      !std::ranges::equal(sha256(bytes.first(end)).span(), bytes.subspan(end))) {
    return corrupt_data("the checkpoint is damaged or cut off; remove it to start anew");
  }
  COPPICE_TRY(check_identity(reader, identity));
  TrainCheckpoint made;
  std::uint64_t elapsed = 0;
  for (std::uint64_t* number : {&made.state.steps, &made.tokens, &made.position.epoch,
                                &made.position.window, &made.looked_at, &elapsed}) {
    *number = COPPICE_TRY(reader.take<std::uint64_t>("a count"));
  }
  bool sound = made.looked_at <= made.state.steps && elapsed <= std::uint64_t{INT64_MAX};
  for (double* number :
       {&made.gate_before, &made.loss_first, &made.loss_last, &made.seconds, &made.best_loss}) {
    *number = COPPICE_TRY(reader.take<double>("a number"));
    sound = sound && std::isfinite(*number);
  }
  made.elapsed = Millis{static_cast<std::int64_t>(elapsed)};
  made.without_gain = COPPICE_TRY(reader.take<std::uint32_t>("looks without gain"));
  const auto with_best = COPPICE_TRY(reader.take<std::uint32_t>("whether a best one is there"));
  const std::size_t part = parameters * sizeof(float);
  if (with_best > 1 || end != kHeadBytes + (3 + with_best) * part) {
    return corrupt_data("the checkpoint has the wrong length; remove it to start anew");
  }
  made.state.values = floats_at(bytes, kHeadBytes, parameters);
  made.state.first_moment = floats_at(bytes, kHeadBytes + part, parameters);
  made.state.second_moment = floats_at(bytes, kHeadBytes + 2 * part, parameters);
  if (with_best == 1) made.best = floats_at(bytes, kHeadBytes + 3 * part, parameters);
  if (!sound || !finite(made.best)) {
    return corrupt_data("the checkpoint holds numbers that no training leaves; remove it");
  }
  return made;
}

Result<void> write_checkpoint(const fs::path& path, const TrainIdentity& identity,
                              const TrainCheckpoint& checkpoint) {
  const CheckpointBytes bytes = serialize_checkpoint(identity, checkpoint);
  std::vector<ByteSpan> parts{bytes.head};
  parts.insert(parts.end(), bytes.floats.begin(), bytes.floats.end());
  parts.push_back(bytes.hash.span());
  return write_file_atomically(path, parts, FileMode::kPrivate);
}

Result<std::optional<LoadedCheckpoint>> read_checkpoint(const fs::path& path,
                                                        const TrainIdentity& identity,
                                                        std::size_t parameters) {
  std::error_code code;
  if (!fs::exists(path, code)) return std::optional<LoadedCheckpoint>{};
  auto file = COPPICE_TRY(MappedFile::open(path));
  auto checkpoint = parse_checkpoint(file->bytes(), identity, parameters);
  if (!checkpoint.ok()) return std::move(checkpoint).error().with_context(path.string());
  return std::optional<LoadedCheckpoint>{{std::move(file), *checkpoint}};
}

void forget_checkpoint(const fs::path& path) {
  std::error_code ignored; // at worst a file too many
  fs::remove(path, ignored);
}

} // namespace coppice
