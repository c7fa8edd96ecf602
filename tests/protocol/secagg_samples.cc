// SPDX-License-Identifier: Apache-2.0
#include "tests/protocol/secagg_samples.h"

#include <algorithm>

#include "crypto/hash.h"
#include "tests/protocol/samples.h"
#include "tests/protocol/secagg_harness.h"

namespace coppice::samples {
namespace {

GraphNonce nonce(std::uint8_t fill) {
  GraphNonce made;
  made.fill(fill);
  return made;
}

SignedAdvert advert() {
  const KeyAdvert keys{.client = device_id(),
                       .plan_hash = hash(0x51),
                       .attempt = 2,
                       .box_key = key<AgreementKey>(31).public_key(),
                       .mask_key = key<AgreementKey>(32).public_key(),
                       .nonce_commitment = commit_nonce(nonce(7), device_id(), hash(0x51), 2)};
  SignedAdvert made{.bytes = encode_advert(keys), .signature = {}};
  made.signature = sign(device_key(), Domain::kAdvert, made.bytes);
  return made;
}

std::vector<ShareBox> boxes() {
  return {{.member = 1, .box = Bytes(kShareBoxBytes, 0x11)},
          {.member = 4, .box = Bytes(kShareBoxBytes, 0x44)}};
}

SecretShare share(std::uint8_t fill) {
  SecretShare made;
  made.fill(fill);
  return made;
}

// One round, stopped on its way: what was on disk in each phase, by the phase's index. It starts
// again once, and one device drops out.
struct Recorded {
  SecAggHarness round{{.devices = 4}};
  std::vector<Bytes> device = std::vector<Bytes>(6);
  std::vector<Bytes> server = std::vector<Bytes>(7);

  Recorded() {
    round.die_at(3, SecAggMoment::kBeforeNonce);
    round.tamper = [this](SecAggLetter&) {
      keep();
      return true;
    };
    round.run();
    keep();
    server.back() = stopped_server();
    device.back() = stopped_device();
  }

 private:
  void keep() {
    device[round.device(0).phase().index()] = round.disk(0);
    // Gathering is committed when it begins again, Finished never is.
    const std::size_t phase = round.server().phase().index();
    server[phase] = round.server().serialize();
  }
  Bytes stopped_device() {
    round.device(0).handle(SurvivorList{round.device(0).roster_hash(), {1}, {1}});
    return round.device(0).serialize();
  }
  Bytes stopped_server() const {
    SecAggServer lost(round.server_context());
    lost.close_roster();
    return lost.serialize();
  }
};

const Recorded& recorded() {
  static const Recorded made;
  return made;
}

} // namespace

std::vector<SecAggMessage> secagg_messages() {
  return {
      advert(),
      NonceOpening{hash(0x52), nonce(7)},
      ShareBoxes{hash(0x52), hash(0x53), boxes()},
      UnmaskShares{hash(0x52),
                   hash(0x54),
                   {{.member = 1, .of = ShareOf::kSelfMask, .share = share(1)},
                    {.member = 4, .of = ShareOf::kMaskKey, .share = share(4)}}},
      Roster{hash(0x51), 2, {{device_id(), hash(0x55), hash(0x56)}}},
      Readvertise{hash(0x51), 3},
      GraphOpening{hash(0x52),
                   {nonce(7), nonce(8)},
                   {{1, advert(), sign_certificate(fleet_key(), certificate())}}},
      ShareInbox{hash(0x52), boxes()},
      SurvivorList{hash(0x52), {0x1f}, {0x1d}},
  };
}

SecAggClientContext secagg_device() { return recorded().round.context(0); }
SecAggServerContext secagg_aggregator() { return recorded().round.server_context(); }
std::vector<Bytes> secagg_device_states() { return recorded().device; }
std::vector<Bytes> secagg_server_states() { return recorded().server; }

Bytes with_checksum(Bytes state) {
  const std::size_t summed = state.size() - Sha256::kSize;
  const Sha256 checksum = sha256(ByteSpan(state).first(summed));
  std::ranges::copy(checksum.bytes, state.begin() + static_cast<std::ptrdiff_t>(summed));
  return state;
}

} // namespace coppice::samples
