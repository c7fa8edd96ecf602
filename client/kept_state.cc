// SPDX-License-Identifier: Apache-2.0
#include "client/kept_state.h"

#include <algorithm>
#include <cmath>

#include "base/log.h"
#include "base/text.h"
#include "crypto/hash.h"

namespace coppice {
namespace {

constexpr std::uint32_t kMagic = 0x534b5043; // "CPKS"
constexpr std::uint32_t kVersion = 1;
constexpr std::size_t kMaxBytes = std::size_t{1} << 30U;
constexpr std::size_t kMaxName = 64;
constexpr std::uint32_t kMaxVectors = 16;

void put_vectors(ByteWriter& writer, const KeptVectors& vectors) {
  writer.put(static_cast<std::uint32_t>(vectors.size()));
  for (const auto& [name, values] : vectors) {
    writer.put_text(name);
    writer.put(std::uint64_t{values.size()});
    writer.put_raw(as_bytes(std::span(values)));
  }
}

Result<KeptVectors> take_vectors(ByteReader& reader) {
  const auto corrupt = [](const char* what) { return Error{ErrorCode::kCorrupt, what}; };
  const auto count = COPPICE_TRY(reader.take<std::uint32_t>("vectors"));
  if (count > kMaxVectors) return corrupt("it names more vectors than there are");
  KeptVectors vectors;
  for (std::uint32_t i = 0; i < count; ++i) {
    const std::string name = COPPICE_TRY(reader.take_text(kMaxName, "a name"));
    const auto size = COPPICE_TRY(reader.take<std::uint64_t>("a size"));
    if (size > reader.left() / sizeof(float)) return corrupt("a vector is cut off");
    if (!vectors.empty() && name <= vectors.rbegin()->first) return corrupt("names out of order");
    const ByteSpan raw = COPPICE_TRY(reader.take_raw(size * sizeof(float), "values"));
    std::vector<float> values(size);
    std::copy(raw.begin(), raw.end(), reinterpret_cast<std::uint8_t*>(values.data()));
    if (!std::ranges::all_of(values, [](float value) { return std::isfinite(value); })) {
      return corrupt("it holds numbers that no training leaves");
    }
    vectors.emplace(name, std::move(values));
  }
  return vectors;
}

} // namespace

Bytes KeptState::encode() const {
  ByteWriter writer;
  writer.put(kMagic);
  writer.put(kVersion);
  for (const Sha256* hash : {&binding.fleet, &binding.base, &binding.spec, &plan}) {
    writer.put_raw(hash->span());
  }
  writer.put(began_from.value);
  put_vectors(writer, counted);
  put_vectors(writer, made);
  const Sha256 hash = sha256(writer.bytes());
  writer.put_raw(hash.span());
  return std::move(writer).take();
}

Result<KeptState> KeptState::decode(ByteSpan bytes) {
  ByteReader head(bytes);
  const auto magic = head.take<std::uint32_t>("the magic");
  const auto version = head.take<std::uint32_t>("the version");
  if (!magic.ok() || *magic != kMagic || !version.ok()) {
    return Error{ErrorCode::kCorrupt, "this is nothing that a device keeps between rounds"};
  }
  if (*version != kVersion) {
    return Error{ErrorCode::kUnsupported,
                 cat("it has version ", *version, ", this program reads ", "version ", kVersion)};
  }
  const std::size_t end = bytes.size() - std::min(bytes.size(), Sha256::kSize);
  if (!std::ranges::equal(sha256(bytes.first(end)).span(), bytes.subspan(end))) {
    return Error{ErrorCode::kCorrupt, "it is damaged or cut off"};
  }
  ByteReader reader(bytes.first(end));
  COPPICE_TRY(reader.take_raw(2 * sizeof(std::uint32_t), "the head"));
  KeptState state;
  for (Sha256* hash :
       {&state.binding.fleet, &state.binding.base, &state.binding.spec, &state.plan}) {
    *hash = COPPICE_TRY(
        Sha256::from_span(COPPICE_TRY(reader.take_raw(Sha256::kSize, "a hash")), "a hash"));
  }
  state.began_from.value = COPPICE_TRY(reader.take<std::uint64_t>("a version"));
  state.counted = COPPICE_TRY(take_vectors(reader));
  state.made = COPPICE_TRY(take_vectors(reader));
  COPPICE_TRY(reader.expect_end("what a device keeps"));
  return state;
}

bool KeptFile::exists() const {
  std::error_code code;
  return fs::exists(path_, code);
}

Result<KeptState> KeptFile::read() const {
  if (!exists()) return KeptState{};
  auto state = KeptState::decode(COPPICE_TRY(read_file(path_, kMaxBytes)));
  if (state.ok()) return state;
  log::warning(path_.string(), ": ", state.error().message, "; it begins anew");
  return KeptState{};
}

Result<void> KeptFile::write(const KeptState& state) const {
  crash_point("client.kept.before");
  COPPICE_TRY(write_file_atomically(path_, state.encode(), FileMode::kPrivate));
  crash_point("client.kept.after");
  return {};
}

Result<KeptVectors> KeptFile::counted(const KeptBinding& binding) const {
  KeptState state = COPPICE_TRY(read());
  return state.binding == binding ? std::move(state.counted) : KeptVectors{};
}

Result<void> KeptFile::store_made(const KeptBinding& binding, const Training& training,
                                  KeptVectors made) const {
  return write({.binding = binding,
                .began_from = training.began_from,
                .counted = COPPICE_TRY(counted(binding)),
                .plan = training.plan,
                .made = std::move(made)});
}

Result<void> KeptFile::add_made(const Sha256& plan, const std::string& name,
                                std::vector<float> values) const {
  KeptState state = COPPICE_TRY(read());
  if (plan.is_zero() || state.plan != plan) return {};
  state.made[name] = std::move(values);
  return write(state);
}

Result<void> KeptFile::count(const Sha256& plan) const {
  KeptState state = COPPICE_TRY(read());
  if (plan.is_zero() || state.plan != plan) return {};
  state.counted = std::move(state.made);
  state.plan = {};
  state.made = {};
  return write(state);
}

Result<void> KeptFile::forget_before(AdapterVersion revert) const {
  if (revert.value == 0 || !exists()) return {};
  if (COPPICE_TRY(read()).began_from >= revert) return {};
  std::error_code code;
  fs::remove(path_, code);
  if (code) {
    return Error{ErrorCode::kIo, cat("can't remove ", path_.string(), ": ", code.message())};
  }
  return sync_directory(path_.parent_path());
}

} // namespace coppice
