// SPDX-License-Identifier: Apache-2.0
#include "client/device_folder.h"

#include <sys/stat.h>

#include <fstream>

#include "adapters/adapter_file.h"
#include "base/text.h"
#include "crypto/hash.h"
#include "crypto/key_file.h"
#include "formats/json.h"

namespace coppice {
namespace {

constexpr std::size_t kMaxStateBytes = std::size_t{1} << 20U;

Result<Json> read_state(const fs::path& path) {
  const Bytes raw = COPPICE_TRY(read_file(path, kMaxStateBytes));
  auto json = parse_json(as_text(raw));
  if (!json.ok()) return std::move(json).error().with_context(path.string());
  return json;
}

Result<void> write_state(const fs::path& path, const Json& json) {
  return write_file_atomically(path, as_bytes(dump_json(json, 2) + "\n"), FileMode::kPrivate);
}

Json signed_json(const Bytes& bytes, const Signature& signature) {
  return {{"bytes", to_base64(bytes)}, {"signature", to_base64(signature.span())}};
}

template <typename Signed>
Result<Signed> signed_from(const Json& object, const char* key) {
  const Json& inner = *COPPICE_TRY(json_object(object, key));
  Signed made;
  made.bytes = COPPICE_TRY(from_base64(COPPICE_TRY(json_string(inner, "bytes"))));
  const Bytes raw = COPPICE_TRY(from_base64(COPPICE_TRY(json_string(inner, "signature"))));
  made.signature = COPPICE_TRY(Signature::from_span(raw, key));
  return made;
}

template <typename Hash>
Result<Hash> hash_from(const Json& object, const char* key) {
  return Hash::parse_hex(COPPICE_TRY(json_string(object, key)), key);
}

Result<std::string> file_identity(const fs::path& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) {
    return Error{ErrorCode::kNotFound, cat("there is no file ", path.string())};
  }
  return cat(status.st_dev, ":", status.st_ino, ":", status.st_size, ":", status.st_mtim.tv_sec,
             ".", status.st_mtim.tv_nsec, ":", status.st_ctim.tv_sec, ".", status.st_ctim.tv_nsec);
}

} // namespace

Result<void> DeviceFolder::create() const {
  for (const char* part : {"keys", "uploads", "shared", "personal", "current"}) {
    std::error_code code;
    fs::create_directories(directory_ / part, code);
    if (code) {
      return Error{ErrorCode::kIo,
                   cat("can't make ", (directory_ / part).string(), ": ", code.message())};
    }
  }
  fs::permissions(directory_ / "keys", fs::perms::owner_all);
  fs::permissions(directory_ / "personal", fs::perms::owner_all);
  const fs::path signing = directory_ / "keys" / "signing.key";
  const fs::path curve = directory_ / "keys" / "curve.key";
  if (!fs::exists(signing)) COPPICE_TRY(store_key_file(signing, SigningKey::generate()));
  if (!fs::exists(curve)) COPPICE_TRY(store_key_file(curve, CurveSecretKey::generate()));
  return {};
}

Result<DeviceIdentity> DeviceFolder::identity() const {
  auto signing = load_key_file<SigningKey>(directory_ / "keys" / "signing.key");
  if (!signing.ok() && signing.error().code == ErrorCode::kNotFound) {
    return Error{ErrorCode::kNotFound, cat(directory_.string(),
                                           " is not a device's folder; make one "
                                           "with 'coppice client init'")};
  }
  SigningKey key = COPPICE_TRY(std::move(signing));
  const ClientId id = client_id_of(key.public_key());
  return DeviceIdentity{
      id, std::move(key),
      COPPICE_TRY(load_key_file<CurveSecretKey>(directory_ / "keys" / "curve.key"))};
}

Result<Membership> DeviceFolder::membership() const {
  const fs::path path = directory_ / "fleet.json";
  if (!fs::exists(path)) {
    return Error{ErrorCode::kNotFound,
                 cat("this device is in no fleet yet; run 'coppice client enroll ",
                     directory_.string(), " INVITE'")};
  }
  const Json json = COPPICE_TRY(read_state(path));
  Membership made;
  made.fleet_key = COPPICE_TRY(hash_from<FleetVerifyKey>(json, "fleet_key"));
  made.fleet = sha256(made.fleet_key.span());
  made.signed_keys = COPPICE_TRY(signed_from<SignedKeySet>(json, "key_set"));
  made.keys =
      COPPICE_TRY(verify_key_set(made.fleet_key, made.signed_keys, KeySetNumber{0}, Millis{0}));
  made.control_endpoint = COPPICE_TRY(json_string(json, "control"));
  made.bulk_endpoint = COPPICE_TRY(json_string(json, "bulk"));
  made.base_hash = COPPICE_TRY(hash_from<Sha256>(json, "base_sha256"));
  made.base_bytes = COPPICE_TRY(json_uint(json, "base_bytes"));
  made.certificate = COPPICE_TRY(signed_from<SignedCertificate>(json, "certificate"));
  return made;
}

Result<void> DeviceFolder::store_membership(const Membership& membership) const {
  Json json;
  json["fleet_key"] = membership.fleet_key.hex();
  json["key_set"] = signed_json(membership.signed_keys.bytes, membership.signed_keys.signature);
  json["control"] = membership.control_endpoint;
  json["bulk"] = membership.bulk_endpoint;
  json["base_sha256"] = membership.base_hash.hex();
  json["base_bytes"] = membership.base_bytes;
  json["certificate"] = signed_json(membership.certificate.bytes, membership.certificate.signature);
  return write_state(directory_ / "fleet.json", json);
}

Result<DeviceMarks> DeviceFolder::marks() const {
  const fs::path path = directory_ / "marks.json";
  DeviceMarks marks;
  if (!fs::exists(path)) return marks;
  const Json json = COPPICE_TRY(read_state(path));
  marks.round.highest_round = RoundId{COPPICE_TRY(json_uint(json, "highest_round"))};
  marks.round.plan_hash = COPPICE_TRY(hash_from<Sha256>(json, "plan"));
  marks.round.seal_used = COPPICE_TRY(json_bool(json, "seal_used"));
  marks.round.upload = COPPICE_TRY(hash_from<Sha256>(json, "upload"));
  marks.round.upload_bytes = COPPICE_TRY(json_uint(json, "upload_bytes"));
  marks.round.acknowledged = COPPICE_TRY(json_bool(json, "acknowledged"));
  if (json.contains("min_survivors")) { // not in files of version 0.1
    marks.round.min_survivors =
        static_cast<std::uint32_t>(COPPICE_TRY(json_uint(json, "min_survivors")));
  }
  if (json.contains("may_be_late")) { // likewise
    marks.round.may_be_late = COPPICE_TRY(json_bool(json, "may_be_late"));
  }
  if (json.contains("cumulative_epsilon")) { // likewise
    marks.cumulative_epsilon = COPPICE_TRY(json_double(json, "cumulative_epsilon"));
  }
  marks.epoch = Epoch{COPPICE_TRY(json_uint(json, "epoch"))};
  marks.last_round_wall =
      Millis{static_cast<std::int64_t>(COPPICE_TRY(json_uint(json, "last_round_ms")))};
  return marks;
}

Result<void> DeviceFolder::store_marks(const DeviceMarks& marks) const {
  Json json;
  json["highest_round"] = marks.round.highest_round.value;
  json["plan"] = marks.round.plan_hash.hex();
  json["seal_used"] = marks.round.seal_used;
  json["upload"] = marks.round.upload.hex();
  json["upload_bytes"] = marks.round.upload_bytes;
  json["acknowledged"] = marks.round.acknowledged;
  json["min_survivors"] = marks.round.min_survivors;
  json["may_be_late"] = marks.round.may_be_late;
  json["cumulative_epsilon"] = marks.cumulative_epsilon;
  json["epoch"] = marks.epoch.value;
  json["last_round_ms"] = marks.last_round_wall.count;
  crash_point("client.marks.before");
  COPPICE_TRY(write_state(directory_ / "marks.json", json));
  crash_point("client.marks.after");
  return {};
}

bool DeviceFolder::paused() const { return fs::exists(directory_ / "paused"); }

Result<void> DeviceFolder::set_paused(bool paused) const {
  if (paused) return write_file_atomically(directory_ / "paused", as_bytes("by the owner\n"));
  std::error_code code;
  fs::remove(directory_ / "paused", code);
  if (code) return Error{ErrorCode::kIo, cat("can't resume: ", code.message())};
  return sync_directory(directory_);
}

Result<void> DeviceFolder::store_upload(const Sha256& name, ByteSpan bytes) const {
  crash_point("client.upload.before");
  COPPICE_TRY(
      write_file_atomically(directory_ / "uploads" / name.hex(), bytes, FileMode::kPrivate));
  crash_point("client.upload.after");
  return {};
}

Result<Bytes> DeviceFolder::upload(const Sha256& name) const {
  return read_file(directory_ / "uploads" / name.hex(), limits::kUploadBytes);
}

bool DeviceFolder::has_upload(const Sha256& name) const {
  const auto bytes = upload(name);
  return bytes.ok() && sha256(*bytes) == name;
}

void DeviceFolder::forget_upload(const Sha256& name) const {
  std::error_code ignored; // at worst a file too many
  fs::remove(directory_ / "uploads" / name.hex(), ignored);
}

// The adapter first: a release without its adapter must not be there.
Result<Bytes> DeviceFolder::secagg_state() const {
  const fs::path path = directory_ / "secagg";
  if (!fs::exists(path)) return Bytes{};
  return read_file(path, limits::kSecAggStateBytes);
}

Result<void> DeviceFolder::store_secagg_state(ByteSpan state) const {
  crash_point("client.secagg.before");
  COPPICE_TRY(write_file_atomically(directory_ / "secagg", state, FileMode::kPrivate));
  crash_point("client.secagg.after");
  return {};
}

void DeviceFolder::forget_secagg_state() const {
  const fs::path path = directory_ / "secagg";
  std::error_code code;
  const auto size = fs::file_size(path, code);
  if (code) return;
  // In place: a best effort, since a file system may keep old blocks.
  std::ofstream(path, std::ios::binary | std::ios::in) << std::string(size, '\0') << std::flush;
  fs::remove(path, code);
}

Result<void> DeviceFolder::store_shared(const SharedAdapter& shared) const {
  ByteWriter writer;
  writer.put_raw(shared.signed_release.signature.span());
  writer.put(static_cast<std::uint32_t>(shared.signed_release.bytes.size()));
  writer.put_raw(shared.signed_release.bytes);
  writer.put_raw(serialize_adapter(shared.adapter));
  if (shared.control) {
    Adapter control(shared.adapter.shared_spec());
    std::ranges::copy(*shared.control, control.values().begin());
    writer.put_raw(serialize_adapter(control));
  }
  crash_point("client.shared.before");
  COPPICE_TRY(write_file_atomically(directory_ / "shared" / "release", writer.bytes()));
  crash_point("client.shared.after");
  return {};
}

Result<std::optional<SharedAdapter>> DeviceFolder::shared(const VerifyKey& aggregator) const {
  const fs::path path = directory_ / "shared" / "release";
  if (!fs::exists(path)) return std::optional<SharedAdapter>{};
  const Bytes raw = COPPICE_TRY(read_file(path, limits::kReleaseBytes));
  ByteReader reader(raw);
  SignedRelease signed_release;
  signed_release.signature = COPPICE_TRY(Signature::from_span(
      COPPICE_TRY(reader.take_raw(Signature::kSize, "signature")), "signature"));
  const auto length = COPPICE_TRY(reader.take<std::uint32_t>("release"));
  const ByteSpan bytes = COPPICE_TRY(reader.take_raw(length, "release"));
  signed_release.bytes.assign(bytes.begin(), bytes.end());
  const auto release = verify_release(aggregator, signed_release);
  // Signed by a key set that has been replaced since: fetch it again rather than trust it.
  if (!release.ok()) return std::optional<SharedAdapter>{};
  const Error damaged{ErrorCode::kCorrupt,
                      cat(path.string(), " is damaged; remove it, and it is fetched again")};
  if (reader.left() < release->control_bytes) return damaged;
  const ByteSpan content =
      COPPICE_TRY(reader.take_raw(reader.left() - release->control_bytes, "adapter"));
  const ByteSpan beside = COPPICE_TRY(reader.take_raw(release->control_bytes, "control"));
  if (sha256(content) != release->adapter_hash) return damaged;
  SharedAdapter shared{std::move(signed_release), *release, COPPICE_TRY(parse_adapter(content))};
  if (!beside.empty()) {
    if (sha256(beside) != release->control_hash) return damaged;
    const Adapter control = COPPICE_TRY(parse_adapter(beside));
    shared.control = std::make_shared<const std::vector<float>>(control.values().begin(),
                                                                control.values().end());
  }
  return std::optional<SharedAdapter>{std::move(shared)};
}

Result<Sha256> DeviceFolder::base_hash(const fs::path& model, bool take_again) const {
  const std::string identity = COPPICE_TRY(file_identity(model));
  const fs::path cache = directory_ / "base.json";
  if (!take_again && fs::exists(cache)) {
    const auto json = read_state(cache);
    if (json.ok() && json_string(*json, "file").ok() && *json_string(*json, "file") == identity) {
      return hash_from<Sha256>(*json, "sha256");
    }
  }
  const Sha256 hash = COPPICE_TRY(sha256_file(model));
  COPPICE_TRY(write_state(cache, {{"file", identity}, {"sha256", hash.hex()}}));
  return hash;
}

Result<void> DeviceFolder::forget_personal() const {
  std::error_code code;
  for (const char* name : {"personal", "current"}) {
    for (const auto& entry : fs::directory_iterator(directory_ / name, code)) {
      fs::remove_all(entry.path(), code);
    }
  }
  for (const char* name : {"serving.json", "report.json", "base.json"}) {
    fs::remove(directory_ / name, code);
  }
  if (code) return Error{ErrorCode::kIo, cat("can't erase all of it: ", code.message())};
  return sync_directory(directory_);
}

} // namespace coppice
