// SPDX-License-Identifier: Apache-2.0
// Invites: as text, and as a body under a good checksum, so that the checksum doesn't end every
// try.
#include "base/check.h"
#include "crypto/hash.h"
#include "protocol/enrollment.h"
#include "tests/fuzz/fuzz_target.h"
#include "tests/protocol/samples.h"

namespace coppice {
namespace {

constexpr std::string_view kPrefix = "coppice1-";
constexpr std::size_t kChecksumBytes = 4;

// Base64's slack bits and trimmed white space aside, one invite has one text.
void decode(const std::string& text) {
  const AllocationLimit limit(AllocationLimit::twice(text.size()));
  const auto invite = decode_invite(text);
  if (!invite) return;
  COPPICE_CHECK(decode_invite(encode_invite(*invite)).ok());
}

} // namespace

std::vector<Bytes> fuzz_seeds() {
  const std::string text = encode_invite(samples::invite());
  const Bytes raw = from_base64(std::string_view(text).substr(kPrefix.size())).value();
  return {Bytes(text.begin(), text.end()), Bytes(raw.begin(), raw.end() - kChecksumBytes)};
}

} // namespace coppice

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace coppice;
  decode(std::string(as_text({data, size})));
  Bytes body(data, data + size);
  const Sha256 hash = sha256(with_domain(Domain::kInvite, body));
  body.insert(body.end(), hash.bytes.begin(), hash.bytes.begin() + kChecksumBytes);
  decode(std::string(kPrefix) + to_base64(body));
  return 0;
}
