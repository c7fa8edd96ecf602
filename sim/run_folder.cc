// SPDX-License-Identifier: Apache-2.0
#include "sim/run_folder.h"

#include <fstream>

#include "base/text.h"
#include "crypto/hash.h"

namespace coppice {
namespace {

constexpr std::size_t kMaxManifestBytes = std::size_t{4} << 20U;
constexpr std::size_t kMaxStateBytes = std::size_t{2} << 30U;
constexpr std::uint32_t kStateMagic = 0x32534353; // "SCS2"
constexpr std::size_t kMaxText = std::size_t{1} << 20U;

fs::path state_path(const fs::path& folder) { return folder / "state"; }

void put_bytes(ByteWriter& writer, ByteSpan bytes) {
  writer.put<std::uint64_t>(bytes.size());
  writer.put_raw(bytes);
}
Result<Bytes> take_bytes(ByteReader& reader, const char* field) {
  const auto size = COPPICE_TRY(reader.take<std::uint64_t>(field));
  const ByteSpan raw = COPPICE_TRY(reader.take_raw(size, field));
  return Bytes(raw.begin(), raw.end());
}

void put_spend(ByteWriter& writer, const SpendRecord& spend) {
  writer.put(spend.round.value);
  writer.put_text(spend.mechanism);
  writer.put(spend.series.value);
  writer.put(spend.times);
  writer.put_raw(spend.base.span());
  writer.put(spend.epsilon);
  writer.put(spend.spent.count);
}
Result<SpendRecord> take_spend(ByteReader& reader) {
  SpendRecord spend;
  spend.round.value = COPPICE_TRY(reader.take<std::uint64_t>("round"));
  spend.mechanism = COPPICE_TRY(reader.take_text(kMaxText, "mechanism"));
  spend.series.value = COPPICE_TRY(reader.take<std::uint64_t>("series"));
  spend.times = COPPICE_TRY(reader.take<std::uint64_t>("times"));
  spend.base =
      COPPICE_TRY(Sha256::from_span(COPPICE_TRY(reader.take_raw(Sha256::kSize, "base")), "base"));
  spend.epsilon = COPPICE_TRY(reader.take<double>("epsilon"));
  spend.spent.count = COPPICE_TRY(reader.take<std::int64_t>("spent"));
  return spend;
}

void put_rows(ByteWriter& writer, const Population& population) {
  std::uint64_t changed = 0;
  for (DeviceNumber device = 0; device < population.size(); ++device) {
    changed += population.row(device).used() ? 1 : 0;
  }
  writer.put(changed);
  for (DeviceNumber device = 0; device < population.size(); ++device) {
    const DeviceRow& row = population.row(device);
    if (!row.used()) continue;
    writer.put(device);
    writer.put(row.joules);
    writer.put(row.last_round);
    writer.put(row.rounds);
  }
}
Result<void> take_rows(ByteReader& reader, Population& population) {
  const auto changed = COPPICE_TRY(reader.take<std::uint64_t>("rows"));
  for (std::uint64_t i = 0; i < changed; ++i) {
    const auto device = COPPICE_TRY(reader.take<std::uint64_t>("device"));
    if (device >= population.size()) {
      return Error{ErrorCode::kCorrupt, "the state names a device that the population lacks"};
    }
    DeviceRow& row = population.row(device);
    row.joules = COPPICE_TRY(reader.take<float>("joules"));
    row.last_round = COPPICE_TRY(reader.take<std::uint32_t>("last round"));
    row.rounds = COPPICE_TRY(reader.take<std::uint16_t>("rounds"));
  }
  return {};
}

} // namespace

Bytes encode_state(const RunState& state, const Population& population) {
  ByteWriter writer;
  writer.put(kStateMagic);
  writer.put(state.rounds);
  writer.put(state.time.count);
  writer.put(state.version.value);
  put_bytes(writer, state.adapter);
  writer.put<std::uint64_t>(state.spends.size());
  for (const SpendRecord& spend : state.spends) put_spend(writer, spend);
  put_bytes(writer, state.noise);
  put_bytes(writer, state.strategy);
  writer.put(state.clip_norm);
  writer.put(state.bytes_up);
  writer.put(state.bytes_down);
  writer.put(state.joules);
  writer.put(state.tokens);
  writer.put<std::uint64_t>(state.releases.size());
  for (const Sha256& release : state.releases) writer.put_raw(release.span());
  writer.put(state.event_bytes);
  writer.put<std::uint8_t>(state.ended ? 1 : 0);
  put_late(writer, state.late);
  put_rows(writer, population);
  const Sha256 hash = sha256(writer.bytes());
  writer.put_raw(hash.span());
  return std::move(writer).take();
}

Result<RunState> decode_state(ByteSpan bytes, Population& population) {
  if (bytes.size() < Sha256::kSize ||
      sha256(bytes.first(bytes.size() - Sha256::kSize)) !=
          COPPICE_TRY(Sha256::from_span(bytes.last(Sha256::kSize), "hash"))) {
    return Error{ErrorCode::kCorrupt, "the run's state was damaged; begin the run again"};
  }
  ByteReader reader(bytes.first(bytes.size() - Sha256::kSize));
  if (COPPICE_TRY(reader.take<std::uint32_t>("magic")) != kStateMagic) {
    return Error{ErrorCode::kUnsupported, "another version of the program wrote the run's state"};
  }
  RunState state;
  state.rounds = COPPICE_TRY(reader.take<std::uint64_t>("rounds"));
  state.time.count = COPPICE_TRY(reader.take<std::int64_t>("time"));
  state.version.value = COPPICE_TRY(reader.take<std::uint64_t>("version"));
  state.adapter = COPPICE_TRY(take_bytes(reader, "adapter"));
  const auto spends = COPPICE_TRY(reader.take<std::uint64_t>("spends"));
  for (std::uint64_t i = 0; i < spends; ++i)
    state.spends.push_back(COPPICE_TRY(take_spend(reader)));
  state.noise = COPPICE_TRY(take_bytes(reader, "noise"));
  state.strategy = COPPICE_TRY(take_bytes(reader, "strategy"));
  state.clip_norm = COPPICE_TRY(reader.take<double>("clip norm"));
  state.bytes_up = COPPICE_TRY(reader.take<std::uint64_t>("bytes up"));
  state.bytes_down = COPPICE_TRY(reader.take<std::uint64_t>("bytes down"));
  state.joules = COPPICE_TRY(reader.take<double>("joules"));
  state.tokens = COPPICE_TRY(reader.take<std::uint64_t>("tokens"));
  const auto releases = COPPICE_TRY(reader.take<std::uint64_t>("releases"));
  for (std::uint64_t i = 0; i < releases; ++i) {
    state.releases.push_back(COPPICE_TRY(
        Sha256::from_span(COPPICE_TRY(reader.take_raw(Sha256::kSize, "release")), "release")));
  }
  state.event_bytes = COPPICE_TRY(reader.take<std::uint64_t>("event bytes"));
  state.ended = COPPICE_TRY(reader.take<std::uint8_t>("ended")) != 0;
  state.late = COPPICE_TRY(take_late(reader));
  COPPICE_TRY(take_rows(reader, population));
  COPPICE_TRY(reader.expect_end("the run's state"));
  return state;
}

Result<RunFolder> RunFolder::create(const fs::path& path, const Json& manifest) {
  std::error_code code;
  if (fs::exists(path / kManifestFile, code)) {
    return Error{ErrorCode::kAlreadyExists,
                 cat("there is a run in ", path.string(), "; 'coppice sim resume ", path.string(),
                     "' goes on with it, or give --out another folder")};
  }
  fs::create_directories(path, code);
  if (code) return Error{ErrorCode::kIo, cat("can't make ", path.string(), ": ", code.message())};
  RunFolder folder(path, COPPICE_TRY(FileLock::take(path / "lock")));
  COPPICE_TRY(folder.add_to_manifest(manifest));
  return folder;
}

Result<Json> RunFolder::read_manifest(const fs::path& path) {
  std::error_code code;
  if (!fs::exists(path / kManifestFile, code)) {
    return Error{ErrorCode::kNotFound, cat("there is no run in ", path.string())};
  }
  return parse_json(COPPICE_TRY(read_file(path / kManifestFile, kMaxManifestBytes)));
}

Result<RunFolder> RunFolder::open(const fs::path& path) {
  Json manifest = COPPICE_TRY(read_manifest(path));
  RunFolder folder(path, COPPICE_TRY(FileLock::take(path / "lock")));
  folder.manifest_ = std::move(manifest);
  return folder;
}

Result<void> RunFolder::add_to_manifest(const Json& fields) {
  for (const auto& [key, value] : fields.items()) manifest_[key] = value;
  return write_file_atomically(path_ / kManifestFile, as_bytes(dump_json(manifest_, 2) + "\n"));
}

Result<void> RunFolder::add_event(const Json& event) {
  unwritten_ += dump_json(event);
  unwritten_ += '\n';
  return {};
}

Result<void> RunFolder::add_timing(const Json& line) {
  std::ofstream file(path_ / kTimingFile, std::ios::app);
  file << dump_json(line) << '\n';
  if (file.flush()) return {};
  return Error{ErrorCode::kIo, cat("can't write ", (path_ / kTimingFile).string())};
}

Result<void> RunFolder::store(RunState& state, const Population& population) {
  if (!unwritten_.empty()) {
    AppendFile events = COPPICE_TRY(AppendFile::open(path_ / kEventsFile, FileMode::kPublic));
    COPPICE_TRY(events.append(as_bytes(unwritten_)));
    written_ += unwritten_.size();
    unwritten_.clear();
  }
  state.event_bytes = written_;
  crash_point("sim.before_state");
  COPPICE_TRY(write_file_atomically(state_path(path_), encode_state(state, population)));
  crash_point("sim.after_state");
  return {};
}

Result<std::optional<RunState>> RunFolder::restore(Population& population) {
  std::optional<RunState> state;
  std::error_code code;
  if (fs::exists(state_path(path_), code)) {
    const Bytes raw = COPPICE_TRY(read_file(state_path(path_), kMaxStateBytes));
    state = COPPICE_TRY(decode_state(raw, population));
    written_ = state->event_bytes;
  }
  const fs::path events = path_ / kEventsFile;
  const std::uint64_t there = fs::exists(events, code) ? fs::file_size(events, code) : 0;
  if (there < written_) {
    return Error{ErrorCode::kCorrupt,
                 cat(events.string(), " is shorter than the run's state says")};
  }
  if (there > written_) fs::resize_file(events, written_, code); // of a round that is played again
  if (code) return Error{ErrorCode::kIo, cat("can't cut ", events.string(), ": ", code.message())};
  return state;
}

Result<Sha256> RunFolder::events_hash() const { return sha256_file(path_ / kEventsFile); }

} // namespace coppice
