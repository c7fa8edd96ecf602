// SPDX-License-Identifier: Apache-2.0
// How a device gets from the shared adapter it holds to the newest: which bytes to fetch, and
// whether what came is what was signed.
//
// Pure: signatures are checked before (verify_release); this checks fleet, base, order of versions,
// hashes and sizes. Versions only go up, epochs never down, spent privacy never down. A step is
// used where its parent is what the device holds, else the whole adapter comes; then what the
// release carries beside it for devices' corrections. Thread-compatible.
#pragma once

#include <optional>
#include <string>

#include "client/device_folder.h"
#include "protocol/messages.h"

namespace coppice {

class ReleaseKeeper {
 public:
  ReleaseKeeper(Membership membership, std::optional<SharedAdapter> held)
      : membership_(std::move(membership)), held_(std::move(held)) {}

  const std::optional<SharedAdapter>& held() const { return held_; }
  void set_membership(Membership membership) { membership_ = std::move(membership); }

  // A newer release: what to fetch now. None: nothing is new, or a fetch of it is under way. Errors
  // are refusals of the release, with the reason.
  Result<std::optional<Fetch>> notice(const SignedRelease& signed_release, const Release& release);

  struct Arrived {
    std::optional<Fetch> more;              // ask for these next
    std::optional<SharedAdapter> installed; // complete and checked; held() is this now
  };
  // Chunks in order. kCorrupt drops the fetch; the next notice begins again.
  Result<Arrived> chunk(const ContentChunk& chunk);

  bool fetching() const { return fetch_.has_value(); }
  // After a lost connection: asks again from where it stopped.
  std::optional<Fetch> resume() const;

 private:
  struct Fetching {
    SignedRelease signed_release;
    Release release;
    bool step = false;
    Sha256 content;
    std::uint64_t size = 0;
    std::uint32_t asked = 0; // chunks below this were asked for
    Bytes bytes;
    std::optional<Adapter> adapter; // complete: what is fetched now is the control
  };
  Result<void> check(const Release& release) const;
  std::optional<Fetch> ask_more();
  Result<Arrived> complete();
  Result<Adapter> fetched_adapter() const;
  Result<std::shared_ptr<const std::vector<float>>> fetched_control() const;

  Membership membership_;
  std::optional<SharedAdapter> held_;
  std::optional<Fetching> fetch_;
};

} // namespace coppice
