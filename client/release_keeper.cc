// SPDX-License-Identifier: Apache-2.0
#include "client/release_keeper.h"

#include <algorithm>

#include "adapters/adapter_file.h"
#include "adapters/step_codec.h"
#include "base/text.h"
#include "crypto/hash.h"

namespace coppice {

Result<void> ReleaseKeeper::check(const Release& release) const {
  const auto refuse = [&](std::string_view why) -> Result<void> {
    return Error{ErrorCode::kUnauthenticated,
                 cat("release ", release.version, " is refused: ", why)};
  };
  if (release.fleet != membership_.fleet) return refuse("it is of another fleet");
  if (release.base_hash != membership_.base_hash) return refuse("it is for another base model");
  if (release.test) return refuse("it is marked test, and this is a real device");
  const std::uint64_t largest =
      std::max({release.adapter_bytes, release.step_bytes, release.control_bytes});
  if (largest > limits::kReleaseBytes) return refuse("it is larger than any release may be");
  if (!held_) return {};
  if (release.epoch < held_->release.epoch) return refuse("its epoch is past");
  if (release.version == held_->release.version &&
      release.adapter_hash != held_->release.adapter_hash) {
    return refuse("another adapter was released under this version");
  }
  if (release.spec_hash != held_->release.spec_hash) return refuse("its adapter has another shape");
  if (release.cumulative_epsilon < held_->release.cumulative_epsilon) {
    return refuse("its spent privacy is lower than before");
  }
  return {};
}

Result<std::optional<Fetch>> ReleaseKeeper::notice(const SignedRelease& signed_release,
                                                   const Release& release) {
  if (held_ && release.version < held_->release.version) {
    return Error{ErrorCode::kUnauthenticated,
                 cat("release ", release.version, " is older than what this device holds")};
  }
  COPPICE_TRY(check(release));
  if (held_ && release.version == held_->release.version) return std::optional<Fetch>{};
  if (fetch_ && fetch_->release.version >= release.version) return std::optional<Fetch>{};
  Fetching fetching;
  fetching.signed_release = signed_release;
  fetching.release = release;
  fetching.step =
      held_ && release.parent_hash == held_->release.adapter_hash && release.step_bytes > 0;
  fetching.content = fetching.step ? release.step_hash : release.adapter_hash;
  fetching.size = fetching.step ? release.step_bytes : release.adapter_bytes;
  fetch_ = std::move(fetching);
  return ask_more();
}

std::optional<Fetch> ReleaseKeeper::ask_more() {
  const std::uint32_t total = limits::chunks_of(fetch_->size);
  const std::uint32_t count = std::min(limits::kCreditChunks, total - fetch_->asked);
  if (count == 0) return std::nullopt;
  const Fetch fetch{fetch_->content, fetch_->asked, count};
  fetch_->asked += count;
  return fetch;
}

std::optional<Fetch> ReleaseKeeper::resume() const {
  if (!fetch_) return std::nullopt;
  const auto first = static_cast<std::uint32_t>(fetch_->bytes.size() / limits::kChunkBytes);
  return Fetch{fetch_->content, first, fetch_->asked - first};
}

Result<ReleaseKeeper::Arrived> ReleaseKeeper::chunk(const ContentChunk& chunk) {
  if (!fetch_ || chunk.content != fetch_->content) return Arrived{};
  const auto expected_index =
      static_cast<std::uint32_t>(fetch_->bytes.size() / limits::kChunkBytes);
  if (chunk.index < expected_index) return Arrived{}; // asked for twice around a reconnect
  const std::uint64_t expected_size =
      std::min<std::uint64_t>(limits::kChunkBytes, fetch_->size - fetch_->bytes.size());
  if (chunk.size != fetch_->size || chunk.index != expected_index ||
      chunk.data.size() != expected_size) {
    fetch_.reset();
    return Error{ErrorCode::kCorrupt, "a release's chunk is out of order or of another size"};
  }
  fetch_->bytes.insert(fetch_->bytes.end(), chunk.data.begin(), chunk.data.end());
  if (fetch_->bytes.size() == fetch_->size) {
    auto arrived = complete();
    if (!arrived.ok()) fetch_.reset();
    return arrived;
  }
  Arrived arrived;
  if (limits::chunks_of(fetch_->bytes.size()) == fetch_->asked) arrived.more = ask_more();
  return arrived;
}

// One content is here: the next is asked for, or all of it is installed.
Result<ReleaseKeeper::Arrived> ReleaseKeeper::complete() {
  const Release& release = fetch_->release;
  if (sha256(fetch_->bytes) != fetch_->content) {
    return Error{ErrorCode::kCorrupt, "a release's bytes don't have the signed hash"};
  }
  Arrived arrived;
  std::shared_ptr<const std::vector<float>> control;
  if (fetch_->adapter) {
    control = COPPICE_TRY(fetched_control());
  } else {
    fetch_->adapter = COPPICE_TRY(fetched_adapter());
    if (release.control_bytes > 0) {
      fetch_->content = release.control_hash;
      fetch_->size = release.control_bytes;
      fetch_->asked = 0;
      fetch_->bytes.clear();
      arrived.more = ask_more();
      return arrived;
    }
  }
  arrived.installed = SharedAdapter{fetch_->signed_release, release, std::move(*fetch_->adapter),
                                    std::move(control)};
  fetch_.reset();
  held_ = arrived.installed;
  return arrived;
}

Result<Adapter> ReleaseKeeper::fetched_adapter() const {
  const Release& release = fetch_->release;
  if (!fetch_->step) {
    Adapter adapter = COPPICE_TRY(parse_adapter(fetch_->bytes));
    if (sha256(adapter.spec().encode()) != release.spec_hash) {
      return Error{ErrorCode::kCorrupt, "a release's adapter has another shape than was signed"};
    }
    return adapter;
  }
  Adapter adapter = held_->adapter;
  const EncodedStep step = COPPICE_TRY(parse_step(fetch_->bytes, adapter.spec()));
  COPPICE_TRY(apply_step(adapter, step));
  if (sha256(serialize_adapter(adapter)) != release.adapter_hash) {
    return Error{ErrorCode::kCorrupt, "the step doesn't lead to the signed adapter"};
  }
  return adapter;
}

Result<std::shared_ptr<const std::vector<float>>> ReleaseKeeper::fetched_control() const {
  const Adapter control = COPPICE_TRY(parse_adapter(fetch_->bytes));
  if (sha256(control.spec().encode()) != fetch_->release.spec_hash) {
    return Error{ErrorCode::kCorrupt, "a release's control has another shape than its adapter"};
  }
  return std::make_shared<const std::vector<float>>(control.values().begin(),
                                                    control.values().end());
}

} // namespace coppice
