// SPDX-License-Identifier: Apache-2.0
#include "cli/privacy_bytes.h"

#include <algorithm>

#include "adapters/ring_codec.h"
#include "protocol/envelope.h"
#include "protocol/secagg_messages.h"
#include "protocol/secagg_pieces.h"
#include "protocol/zmtp.h"

namespace coppice {
namespace {

// A frame under CURVE, with ZMTP's flags and its short or long size.
std::uint64_t on_wire(std::size_t frame) {
  constexpr std::size_t kLongestShort = 255;
  const std::size_t body = frame + kCurveOverhead;
  return body + (body <= kLongestShort ? 2 : 9);
}

class Sizes {
 public:
  std::uint64_t of(const Message& message) const {
    return on_wire(make_envelope(key_, {}, message).bytes.size());
  }
  std::uint64_t of(const SecAggMessage& message) const {
    std::uint64_t total = 0;
    for (SecAggPiece& piece : cut_secagg({}, message)) total += of(Message(std::move(piece)));
    return total;
  }
  // In chunks; all but the last are alike.
  Result<std::uint64_t> of_upload(std::size_t packed) const {
    const Bytes empty =
        COPPICE_TRY(seal_upload(key_, {}, SealKey::generate().public_key(), Upload{}));
    const std::size_t finished = empty.size() + packed;
    const std::uint64_t whole = finished / limits::kChunkBytes;
    const std::size_t rest = finished % limits::kChunkBytes;
    std::uint64_t total = of(Message(UploadOffer{}));
    if (whole > 0) total += whole * of(chunk(limits::kChunkBytes));
    if (rest > 0) total += of(chunk(rest));
    return total;
  }

 private:
  static Message chunk(std::size_t bytes) { return UploadChunk{{}, 0, Bytes(bytes)}; }
  SigningKey key_ = SigningKey::generate();
};

SignedAdvert some_advert() { return {encode_advert({}), {}}; }

NeighbourKeys some_neighbour() {
  return {0, some_advert(), sign_certificate(FleetSigningKey::generate(), {})};
}

std::vector<ShareBox> some_boxes(std::uint32_t degree) {
  return std::vector<ShareBox>(degree, {0, Bytes(kShareBoxBytes)});
}

} // namespace

Result<DeviceBytes> device_bytes(const RoundPlan& plan, const GraphParameters& graph) {
  const Sizes sizes;
  DeviceBytes bytes;
  for (const Slot& slot : plan.slots) bytes.packed += packed_size(slot.elements, slot.bits);
  bytes.upload = sizes.of(Message(PlanAnswer{})) + COPPICE_TRY(sizes.of_upload(bytes.packed));

  const std::uint32_t members = plan.sum.cohort;
  const std::vector<std::uint8_t> bits((members + 7) / 8);
  const auto sent = [&sizes](const SecAggMessage& message) { return sizes.of(message); };
  bytes.secagg_up = sent(some_advert()) + sent(NonceOpening{}) +
                    sent(ShareBoxes{{}, {}, some_boxes(graph.degree)}) +
                    sent(UnmaskShares{{}, {}, std::vector<UnmaskShare>(graph.degree)});
  bytes.secagg_down =
      sent(Roster{{}, 0, std::vector<RosterEntry>(members)}) +
      sent(GraphOpening{{},
                        std::vector<GraphNonce>(members),
                        std::vector<NeighbourKeys>(graph.degree, some_neighbour())}) +
      sent(ShareInbox{{}, some_boxes(graph.degree)}) + sent(SurvivorList{{}, bits, bits});
  return bytes;
}

} // namespace coppice
