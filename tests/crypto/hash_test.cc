// SPDX-License-Identifier: Apache-2.0
#include "crypto/hash.h"

#include <gmock/gmock.h>
#include <unistd.h>

#include <cstdlib>
#include <map>

#include "tests/crypto/test_keys.h"

namespace coppice {
namespace {

using ::coppice::testing::counting_secret;

// FIPS 180-4's examples.
constexpr std::string_view kAbcHash =
    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
constexpr std::string_view kEmptyHash =
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
constexpr std::string_view kMillionTimesAHash =
    "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0";

TEST(Sha256Test, GivesThePublishedHashes) {
  EXPECT_EQ(sha256(as_bytes("abc")).hex(), kAbcHash);
  EXPECT_EQ(sha256({}).hex(), kEmptyHash);
}

TEST(Sha256Test, PiecesHashLikeTheirWhole) {
  Sha256Hasher hasher;
  const std::string thousand(1000, 'a');
  for (int i = 0; i < 1000; ++i) hasher.update(as_bytes(thousand));
  EXPECT_EQ(hasher.finish().hex(), kMillionTimesAHash);
  EXPECT_EQ(hasher.finish().hex(), kEmptyHash) << "finish() must leave the hasher as new";
  hasher.update(as_bytes("a"));
  hasher.update({});
  hasher.update(as_bytes("bc"));
  EXPECT_EQ(hasher.finish().hex(), kAbcHash);
}

TEST(DomainHashTest, GivesWhatAnotherSha256GivesOverLabelLengthAndPayload) {
  // Computed with Python's hashlib.sha256 over the bytes that domain.h describes.
  EXPECT_EQ(domain_hash(Domain::kNonceCommitment, as_bytes("nonce")).hex(),
            "c57ec6389207046e45eb1376064e8d2491553696b52ddff716db36740dc1f73e");
  EXPECT_NE(domain_hash(Domain::kGraph, as_bytes("nonce")),
            domain_hash(Domain::kNonceCommitment, as_bytes("nonce")));
}

class Sha256FileTest : public ::testing::Test {
 protected:
  Sha256FileTest() {
    std::string pattern = (fs::temp_directory_path() / "coppice-hash-XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
  }
  ~Sha256FileTest() override { fs::remove_all(folder_); }
  fs::path folder_;
};

TEST_F(Sha256FileTest, AFileHashesLikeItsBytesWhateverItsSize) {
  // Around the read buffer's 256 KiB, and the empty file.
  for (const std::size_t size : {0U, 1U, 262143U, 262144U, 262145U, 1000000U}) {
    const std::string text(size, 'a');
    ASSERT_TRUE(write_file_atomically(folder_ / "f", as_bytes(text)).ok());
    EXPECT_EQ(sha256_file(folder_ / "f").value(), sha256(as_bytes(text))) << size;
  }
  EXPECT_EQ(sha256_file(folder_ / "f").value().hex(), kMillionTimesAHash);
}

TEST_F(Sha256FileTest, WhatCannotBeReadIsNamed) {
  const auto missing = sha256_file(folder_ / "absent");
  EXPECT_EQ(missing.error().code, ErrorCode::kNotFound);
  EXPECT_THAT(missing.error().message, ::testing::HasSubstr("absent"));
  EXPECT_EQ(sha256_file(folder_).error().code, ErrorCode::kIo);
}

TEST(DeriveKeyTest, GivesWhatAnotherBlake2bGives) {
  // Computed with Python's hashlib.blake2b(message, key=key, digest_size=32).
  const Secret<32> key = counting_secret(0);
  EXPECT_EQ(to_hex(derive_key(key, Domain::kAgreement, as_bytes("context")).span()),
            "7eeb7f529c7a7a40c59219702dfe6c24b82aa7d75ccb1274bb8d14b239ad8197");
}

TEST(DeriveKeyTest, KeyDomainAndContextEachChangeTheResult) {
  const Secret<32> base = derive_key(counting_secret(0), Domain::kAgreement, as_bytes("c"));
  EXPECT_EQ(base, derive_key(counting_secret(0), Domain::kAgreement, as_bytes("c")));
  EXPECT_FALSE(base == derive_key(counting_secret(1), Domain::kAgreement, as_bytes("c")));
  EXPECT_FALSE(base == derive_key(counting_secret(0), Domain::kTokenHash, as_bytes("c")));
  EXPECT_FALSE(base == derive_key(counting_secret(0), Domain::kAgreement, as_bytes("d")));
}

TEST(DomainTest, WhatIsSignedHasItsLabelAndLengthsInFront) {
  const Bytes framed = with_domain(Domain::kPlan, as_bytes("xy"));
  EXPECT_EQ(as_text(framed), std::string_view("\x0f"
                                              "coppice/v1/plan\x02\0\0\0\0\0\0\0xy",
                                              26));
}

TEST(DomainTest, NoPairOfDomainAndPayloadGivesTheBytesOfAnother) {
  // Payloads that try to look like another domain's framing.
  std::map<Bytes, std::pair<Domain, Bytes>> seen;
  for (const DomainLabel& row : kDomainLabels) {
    std::vector<Bytes> payloads = {{}, {0}};
    for (const DomainLabel& other : kDomainLabels) {
      payloads.push_back(with_domain(other.domain, {}));
      const ByteSpan label = as_bytes(other.label);
      payloads.emplace_back(label.begin(), label.end());
    }
    for (const Bytes& payload : payloads) {
      const bool is_new =
          seen.emplace(with_domain(row.domain, payload), std::pair(row.domain, payload)).second;
      EXPECT_TRUE(is_new) << row.label << " " << to_hex(payload);
    }
  }
}

} // namespace
} // namespace coppice
