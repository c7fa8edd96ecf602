// SPDX-License-Identifier: Apache-2.0
#include "sim/kept_states.h"

#include <charconv>

#include "base/text.h"

namespace coppice {
namespace {

constexpr std::size_t kMaxFileBytes = std::size_t{1} << 30U;

// One file a device and round: "12-3" is device 12's after round 3.
fs::path file_of(const fs::path& folder, DeviceNumber device, std::uint64_t round) {
  return folder / cat(device, "-", round);
}

struct FileName {
  DeviceNumber device = 0;
  std::uint64_t round = 0;
};
std::optional<FileName> parse_name(const std::string& name) {
  FileName parsed;
  const char* const end = name.data() + name.size();
  const auto device = std::from_chars(name.data(), end, parsed.device);
  if (device.ec != std::errc{} || device.ptr == end || *device.ptr != '-') return std::nullopt;
  const auto round = std::from_chars(device.ptr + 1, end, parsed.round);
  if (round.ec != std::errc{} || round.ptr != end) return std::nullopt;
  return parsed;
}

Error failed(const char* what, const fs::path& path, const std::error_code& code) {
  return {ErrorCode::kIo, cat("can't ", what, " ", path.string(), ": ", code.message())};
}

} // namespace

KeptVectors KeptStates::counted(DeviceNumber device) const {
  const std::lock_guard lock(mutex_);
  const auto found = counted_.find(device);
  return found == counted_.end() ? KeptVectors{} : found->second;
}

void KeptStates::made(DeviceNumber device, KeptVectors vectors) {
  const std::lock_guard lock(mutex_);
  made_[device] = std::move(vectors);
}

void KeptStates::settle(std::span<const DeviceNumber> counted) {
  const std::lock_guard lock(mutex_);
  for (const DeviceNumber device : counted) {
    const auto made = made_.find(device);
    if (made == made_.end()) continue;
    counted_[device] = std::move(made->second);
    changed_.insert(device);
  }
  made_.clear();
}

Result<void> KeptStates::store(const fs::path& folder, std::uint64_t round) {
  const std::lock_guard lock(mutex_);
  if (changed_.empty()) return {};
  std::error_code code;
  fs::create_directories(folder, code);
  if (code) return failed("make", folder, code);
  for (const fs::path& path : outdated_) fs::remove(path, code); // at worst a file too many
  outdated_.clear();
  for (const DeviceNumber device : changed_) {
    KeptState state;
    state.counted = counted_[device];
    COPPICE_TRY(write_file_atomically(file_of(folder, device, round), state.encode()));
    const auto before = stored_.find(device);
    if (before != stored_.end() && before->second != round) {
      outdated_.push_back(file_of(folder, device, before->second));
    }
    stored_[device] = round;
  }
  changed_.clear();
  return {};
}

Result<void> KeptStates::restore(const fs::path& folder, std::uint64_t round) {
  const std::lock_guard lock(mutex_);
  std::error_code code;
  if (!fs::exists(folder, code)) return {};
  std::vector<fs::path> unwanted;
  for (const auto& entry : fs::directory_iterator(folder, code)) {
    const auto name = parse_name(entry.path().filename().string());
    if (!name) continue;
    if (name->round > round) { // of a round that is played again
      unwanted.push_back(entry.path());
      continue;
    }
    const auto [newest, is_new] = stored_.emplace(name->device, name->round);
    if (is_new) continue;
    const std::uint64_t older = std::min(newest->second, name->round);
    unwanted.push_back(file_of(folder, name->device, older));
    newest->second = std::max(newest->second, name->round);
  }
  if (code) return failed("read", folder, code);
  for (const fs::path& path : unwanted) fs::remove(path, code);
  for (const auto& [device, stored] : stored_) {
    const fs::path path = file_of(folder, device, stored);
    auto state = KeptState::decode(COPPICE_TRY(read_file(path, kMaxFileBytes)));
    if (!state.ok()) return std::move(state).error().with_context(path.string());
    counted_[device] = std::move(state->counted);
  }
  return {};
}

} // namespace coppice
