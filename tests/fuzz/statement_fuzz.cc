// SPDX-License-Identifier: Apache-2.0
// Key sets, certificates and releases with a good signature over any bytes: what a stolen key could
// sign. What opens, is signed again to the same bytes.
#include "base/check.h"
#include "protocol/key_set.h"
#include "protocol/release.h"
#include "tests/fuzz/fuzz_target.h"
#include "tests/protocol/samples.h"

namespace coppice {
std::vector<Bytes> fuzz_seeds() {
  return {sign_key_set(samples::fleet_key(), samples::key_set()).bytes,
          sign_certificate(samples::fleet_key(), samples::certificate()).bytes,
          sign_release(samples::aggregator_key(), samples::release()).bytes};
}
} // namespace coppice

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace coppice;
  static const FleetSigningKey kFleet = samples::fleet_key();
  static const SigningKey kAggregator = samples::aggregator_key();
  const Bytes bytes(data, data + size);
  const AllocationLimit limit(AllocationLimit::twice(size));
  const auto keys =
      verify_key_set(kFleet.public_key(), {bytes, sign(kFleet, Domain::kKeySet, bytes)}, {0}, {0});
  COPPICE_CHECK(!keys.ok() || sign_key_set(kFleet, *keys).bytes == bytes);
  const auto certificate = verify_certificate(
      kFleet.public_key(), {bytes, sign(kFleet, Domain::kCertificate, bytes)}, {0});
  COPPICE_CHECK(!certificate.ok() || sign_certificate(kFleet, *certificate).bytes == bytes);
  const auto release =
      verify_release(kAggregator.public_key(), {bytes, sign(kAggregator, Domain::kRelease, bytes)});
  COPPICE_CHECK(!release.ok() || sign_release(kAggregator, *release).bytes == bytes);
  return 0;
}
