// SPDX-License-Identifier: Apache-2.0
// Google's Wycheproof vectors: known weaknesses and edge cases of each primitive, from ../shared.
// The published vectors inside the other tests of this folder prove the same paths without them.
#include <gtest/gtest.h>
#include <stdio.h>

#include <algorithm>
#include <memory>

#include "base/file.h"
#include "base/text.h"
#include "crypto/primitives.h"
#include "crypto/sign.h"
#include "formats/json.h"
#include "tests/crypto/test_keys.h"

namespace coppice {
namespace {

using ::coppice::testing::array_of_hex;
using ::coppice::testing::secret_of_hex;

class WycheproofTest : public ::testing::Test {
 protected:
  // Null where the file is absent.
  static Json load(const std::string& name) {
    const fs::path path = fs::path(COPPICE_SOURCE_DIR) / ".." / "shared" / "data" / "vectors" /
                          "wycheproof" / (name + "_test.json.xz");
    if (!fs::exists(path)) return {};
    const std::string command = cat("xz -dc '", path.string(), "'");
    const std::unique_ptr<FILE, int (*)(FILE*)> pipe(::popen(command.c_str(), "r"), ::pclose);
    std::string text;
    std::array<char, 65536> buffer;
    std::size_t got = 0;
    while ((got = ::fread(buffer.data(), 1, buffer.size(), pipe.get())) > 0) {
      text.append(buffer.data(), got);
    }
    return Json::parse(text);
  }

  // Calls `check(group, test)` for each test, and makes sure that none was left out.
  template <typename Check>
  static void for_each(const Json& file, Check check) {
    std::size_t count = 0;
    for (const Json& group : file.at("testGroups")) {
      for (const Json& test : group.at("tests")) {
        SCOPED_TRACE(cat("tcId ", test.at("tcId"), " ", test.at("comment")));
        check(group, test);
        ++count;
      }
    }
    EXPECT_EQ(count, file.at("numberOfTests").get<std::size_t>());
  }

  static Bytes bytes(const Json& from, const char* field) {
    return from_hex(from.at(field).get<std::string>()).value();
  }
  static bool has_flag(const Json& test, std::string_view flag) {
    return std::ranges::any_of(test.at("flags"), [&](const Json& each) { return each == flag; });
  }
};

TEST_F(WycheproofTest, X25519GivesEverySharedSecretAndRefusesZeros) {
  const Json file = load("x25519");
  if (file.is_null()) GTEST_SKIP() << "needs ../shared/data/vectors/wycheproof";
  std::size_t refused = 0;
  for_each(file, [&](const Json&, const Json& test) {
    const auto shared = primitives::x25519(secret_of_hex(test.at("private").get<std::string>()),
                                           array_of_hex<32>(test.at("public").get<std::string>()));
    if (has_flag(test, "ZeroSharedSecret")) {
      EXPECT_FALSE(shared.ok());
      ++refused;
      return;
    }
    ASSERT_TRUE(shared.ok());
    EXPECT_EQ(to_hex(shared->span()), test.at("shared").get<std::string>());
  });
  EXPECT_EQ(refused, 31U);
}

TEST_F(WycheproofTest, Ed25519AcceptsTheValidSignaturesAndNoOther) {
  const Json file = load("ed25519");
  if (file.is_null()) GTEST_SKIP() << "needs ../shared/data/vectors/wycheproof";
  for_each(file, [&](const Json& group, const Json& test) {
    const auto key = array_of_hex<32>(group.at("publicKey").at("pk").get<std::string>());
    const auto signature = Signature::from_span(bytes(test, "sig"), "a signature");
    const bool accepted =
        signature.ok() && primitives::ed25519_verify(key, bytes(test, "msg"), signature->bytes);
    EXPECT_EQ(accepted, test.at("result") == "valid");
  });
}

TEST_F(WycheproofTest, XChaCha20Poly1305SealsAndOpensTheValidAndRefusesTheRest) {
  const Json file = load("xchacha20_poly1305");
  if (file.is_null()) GTEST_SKIP() << "needs ../shared/data/vectors/wycheproof";
  std::size_t other_nonces = 0;
  for_each(file, [&](const Json&, const Json& test) {
    const Bytes nonce = bytes(test, "iv");
    if (nonce.size() != primitives::kAeadNonceBytes) {
      EXPECT_EQ(test.at("result"), "invalid");
      ++other_nonces; // our type has no room for them
      return;
    }
    const auto fixed_nonce = std::span(nonce).first<primitives::kAeadNonceBytes>();
    const Secret<32> key = secret_of_hex(test.at("key").get<std::string>());
    const Bytes data = bytes(test, "aad");
    const Bytes text = bytes(test, "msg");
    Bytes sealed = bytes(test, "ct");
    const Bytes tag = bytes(test, "tag");
    sealed.insert(sealed.end(), tag.begin(), tag.end());
    const bool valid = test.at("result") == "valid";

    Bytes opened(text.size(), 0xee);
    EXPECT_EQ(primitives::aead_open(key, fixed_nonce, data, sealed, opened), valid);
    EXPECT_EQ(opened, valid ? text : Bytes(text.size(), 0)) << "nothing unverified may come out";
    Bytes sealed_by_us(sealed.size());
    primitives::aead_seal(key, fixed_nonce, data, text, sealed_by_us);
    EXPECT_EQ(sealed_by_us == sealed, valid);
  });
  EXPECT_EQ(other_nonces, 9U);
}

} // namespace
} // namespace coppice
