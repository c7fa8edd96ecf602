// SPDX-License-Identifier: Apache-2.0
#include "aggregator/fleet_folder.h"

#include <charconv>

#include "adapters/adapter_file.h"
#include "base/text.h"
#include "crypto/hash.h"
#include "crypto/key_file.h"
#include "formats/json.h"

namespace coppice {
namespace {

constexpr std::size_t kMaxSpecBytes = 1 << 20;
constexpr std::size_t kMaxKeySetBytes = 4096;
constexpr std::uint64_t kFormat = 1;

Result<void> make_directory(const fs::path& path) {
  std::error_code code;
  fs::create_directories(path, code);
  if (code) {
    return Error{ErrorCode::kIo,
                 cat("can't make the folder ", path.string(), ": ", code.message())};
  }
  return {};
}

fs::path key_set_folder(const fs::path& directory, KeySetNumber number) {
  return directory / "keys" / cat(number);
}

Result<FleetFacts> read_facts(const fs::path& path, FleetVerifyKey* fleet) {
  const Bytes raw = COPPICE_TRY(read_file(path, 1 << 16));
  const Json json = COPPICE_TRY(parse_json(as_text(raw)));
  if (COPPICE_TRY(json_uint(json, "format")) != kFormat) {
    return Error{ErrorCode::kUnsupported,
                 cat(path.string(), " is of another format; update coppice")};
  }
  FleetFacts facts;
  *fleet = COPPICE_TRY(
      FleetVerifyKey::parse_hex(COPPICE_TRY(json_string(json, "fleet_key")), "fleet_key"));
  facts.fleet = sha256(fleet->span());
  facts.base_hash =
      COPPICE_TRY(Sha256::parse_hex(COPPICE_TRY(json_string(json, "base_sha256")), "base_sha256"));
  facts.base_bytes = COPPICE_TRY(json_uint(json, "base_bytes"));
  facts.base_name = COPPICE_TRY(json_string(json, "base_name"));
  facts.test = COPPICE_TRY(json_bool(json, "test"));
  return facts;
}

} // namespace

Result<FleetFolder> FleetFolder::create(const fs::path& directory, FleetFacts facts,
                                        const AdapterSpec& spec) {
  if (fs::exists(directory / "fleet.json")) {
    return Error{ErrorCode::kAlreadyExists,
                 cat(directory.string(), " already holds a fleet; choose another folder")};
  }
  COPPICE_TRY(spec.validate());
  COPPICE_TRY(make_directory(directory / "keys"));
  const FleetSigningKey fleet = FleetSigningKey::generate();
  COPPICE_TRY(store_key_file(directory / "keys" / "fleet.key", fleet));
  COPPICE_TRY(write_key_set(directory, fleet, KeySetNumber{1}, CurveSecretKey::generate()));
  COPPICE_TRY(write_file_atomically(directory / "adapter.spec", spec.encode()));
  Json json;
  json["format"] = kFormat;
  json["fleet_key"] = fleet.public_key().hex();
  json["base_sha256"] = facts.base_hash.hex();
  json["base_bytes"] = facts.base_bytes;
  json["base_name"] = facts.base_name;
  json["test"] = facts.test;
  // Last: a folder with fleet.json is complete.
  COPPICE_TRY(write_file_atomically(directory / "fleet.json", as_bytes(dump_json(json, 2) + "\n")));
  return open(directory);
}

Result<FleetFolder> FleetFolder::open(const fs::path& directory) {
  if (!fs::exists(directory / "fleet.json")) {
    return Error{ErrorCode::kNotFound, cat(directory.string(),
                                           " is not an aggregator's folder; make "
                                           "one with 'coppice aggregator init'")};
  }
  FleetFolder folder;
  folder.directory_ = directory;
  folder.facts_ = COPPICE_TRY(read_facts(directory / "fleet.json", &folder.fleet_key_));
  const Bytes raw = COPPICE_TRY(read_file(directory / "adapter.spec", kMaxSpecBytes));
  folder.spec_ = std::make_shared<const AdapterSpec>(COPPICE_TRY(AdapterSpec::decode(raw)));
  COPPICE_TRY(folder.reload_keys());
  return folder;
}

Result<FleetSigningKey> FleetFolder::fleet_signing_key() const {
  const fs::path path = directory_ / "keys" / "fleet.key";
  if (!fs::exists(path)) {
    return Error{ErrorCode::kNotFound, cat("the fleet key is offline; put it at ", path.string(),
                                           " for enrolments and key rotation")};
  }
  return load_key_file<FleetSigningKey>(path);
}

const AggregatorKeys* FleetFolder::keys(KeySetNumber number) const {
  const auto found = keys_.find(number);
  return found == keys_.end() ? nullptr : found->second.get();
}

// Written under another name and renamed: a key set is there whole, or not.
Result<void> FleetFolder::write_key_set(const fs::path& directory, const FleetSigningKey& fleet,
                                        KeySetNumber number, const CurveSecretKey& curve) {
  const SigningKey signing = SigningKey::generate();
  const SealKey seal = SealKey::generate();
  KeySet set;
  set.number = number;
  set.fleet = sha256(fleet.public_key().span());
  set.curve = curve.public_key();
  set.verify = signing.public_key();
  set.seal = seal.public_key();
  const SignedKeySet signed_set = sign_key_set(fleet, set);
  ByteWriter writer;
  writer.put_raw(signed_set.signature.span());
  writer.put_raw(signed_set.bytes);

  const fs::path finished = key_set_folder(directory, number);
  const fs::path draft = finished.string() + ".draft";
  std::error_code ignored;
  fs::remove_all(draft, ignored); // of a process that was killed here
  COPPICE_TRY(make_directory(draft));
  COPPICE_TRY(store_key_file(draft / "signing.key", signing));
  COPPICE_TRY(store_key_file(draft / "seal.key", seal));
  COPPICE_TRY(store_key_file(draft / "curve.key", curve));
  COPPICE_TRY(write_file_atomically(draft / "key_set", writer.bytes()));
  std::error_code code;
  fs::rename(draft, finished, code);
  if (code) {
    return Error{ErrorCode::kIo, cat("can't make ", finished.string(), ": ", code.message())};
  }
  return sync_directory(directory / "keys");
}

Result<void> FleetFolder::load_key_set(KeySetNumber number) {
  const fs::path folder = key_set_folder(directory_, number);
  const Bytes raw = COPPICE_TRY(read_file(folder / "key_set", kMaxKeySetBytes));
  ByteReader reader(raw);
  SignedKeySet signed_set;
  signed_set.signature = COPPICE_TRY(Signature::from_span(
      COPPICE_TRY(reader.take_raw(Signature::kSize, "key set signature")), "signature"));
  const ByteSpan bytes = COPPICE_TRY(reader.take_raw(reader.left(), "key set"));
  signed_set.bytes.assign(bytes.begin(), bytes.end());
  auto set = COPPICE_TRY(verify_key_set(fleet_key_, signed_set, KeySetNumber{0}, Millis{0}));
  keys_[number] = std::make_shared<const AggregatorKeys>(AggregatorKeys{
      set, std::move(signed_set), COPPICE_TRY(load_key_file<SigningKey>(folder / "signing.key")),
      COPPICE_TRY(load_key_file<SealKey>(folder / "seal.key")),
      COPPICE_TRY(load_key_file<CurveSecretKey>(folder / "curve.key"))});
  return {};
}

Result<void> FleetFolder::reload_keys() {
  std::error_code code;
  for (const auto& entry : fs::directory_iterator(directory_ / "keys", code)) {
    const std::string name = entry.path().filename().string();
    std::uint64_t number = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
    if (error != std::errc() || end != name.data() + name.size()) continue;
    if (!keys_.contains(KeySetNumber{number})) COPPICE_TRY(load_key_set(KeySetNumber{number}));
  }
  if (code || keys_.empty()) {
    return Error{ErrorCode::kCorrupt,
                 cat(directory_.string(), " has no key set; restore keys/ from a backup")};
  }
  return {};
}

Result<void> FleetFolder::rotate(bool new_curve) {
  const FleetSigningKey fleet = COPPICE_TRY(fleet_signing_key());
  const KeySetNumber next = keys_.rbegin()->first.next();
  const fs::path present = key_set_folder(directory_, keys_.rbegin()->first) / "curve.key";
  const CurveSecretKey curve =
      new_curve ? CurveSecretKey::generate() : COPPICE_TRY(load_key_file<CurveSecretKey>(present));
  COPPICE_TRY(write_key_set(directory_, fleet, next, curve));
  return reload_keys();
}

Result<Release> revert_release(const FleetFolder& folder, StateStore& store, AdapterVersion version,
                               Millis now_wall, AdapterVersion highest_seen) {
  const auto newest = COPPICE_TRY(store.newest_version());
  if (!newest) return Error{ErrorCode::kFailedPrecondition, "there is no release to go back from"};
  const auto present = COPPICE_TRY(store.release(*newest));
  const auto earlier = COPPICE_TRY(store.release(version));
  const Adapter adapter = COPPICE_TRY(parse_adapter(earlier.adapter));
  const AdapterVersion next = std::max(*newest, highest_seen).next();
  const ReleaseInputs inputs{.facts = folder.facts(),
                             .epoch = store.epoch(),
                             .version = next,
                             .reason = ReleaseReason::kRevert,
                             .parent_hash = sha256(present.adapter),
                             .round = {},
                             .plan_hash = {},
                             .participants = 0,
                             .reverted_to = version,
                             .created = now_wall,
                             .last_revert = next};
  const ReleaseContent content = make_release(inputs, adapter, nullptr, folder.keys().signing);
  COPPICE_TRY(store.commit_revert(content));
  return content.release;
}

} // namespace coppice
