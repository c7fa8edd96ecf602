// SPDX-License-Identifier: Apache-2.0
#include "crypto/key_file.h"

#include <gmock/gmock.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>

#include "tests/crypto/test_keys.h"

namespace coppice {
namespace {

using ::coppice::testing::counting_secret;
using ::testing::HasSubstr;

class KeyFileTest : public ::testing::Test {
 protected:
  KeyFileTest() {
    std::string pattern = (fs::temp_directory_path() / "coppice-keys-XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
    path_ = folder_ / "signing.key";
  }
  ~KeyFileTest() override { fs::remove_all(folder_); }

  void write_private(ByteSpan bytes) {
    ASSERT_TRUE(write_file_atomically(path_, bytes, FileMode::kPrivate).ok());
  }
  ErrorCode load_error() const {
    const auto loaded = load_key_file<SigningKey>(path_);
    return loaded.ok() ? ErrorCode::kInternal : loaded.error().code;
  }

  fs::path folder_;
  fs::path path_;
};

template <typename Key>
class EveryKeyFileTest : public KeyFileTest {};
using EveryKey =
    ::testing::Types<SigningKey, FleetSigningKey, SealKey, CurveSecretKey, AgreementKey>;
TYPED_TEST_SUITE(EveryKeyFileTest, EveryKey);

TYPED_TEST(EveryKeyFileTest, ComesBackAsItWasStoredForItsOwnerOnly) {
  const auto key = TypeParam::generate();
  ASSERT_TRUE(store_key_file(this->path_, key).ok());
  struct stat status {};
  ASSERT_EQ(::stat(this->path_.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777U, 0600U);
  const auto loaded = load_key_file<TypeParam>(this->path_);
  ASSERT_TRUE(loaded.ok());
  EXPECT_EQ(loaded->public_key(), key.public_key());
  EXPECT_EQ(loaded->secret(), key.secret());
}

TEST_F(KeyFileTest, HoldsTheBytesThatItsHeaderStates) {
  ASSERT_TRUE(store_key_file(path_, SigningKey::from_secret(counting_secret(0))).ok());
  EXPECT_EQ(to_hex(read_file(path_, 100).value()),
            "636f70706b657931"                                                 // "coppkey1"
            "01000000"                                                         // signing
            "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f" // seed
            "b73c42a5a2224853"); // SHA-256 of the above by Python's hashlib
}

TEST_F(KeyFileTest, AFileThatOthersMayUseIsRefusedWithTheMend) {
  ASSERT_TRUE(store_key_file(path_, SigningKey::generate()).ok());
  for (const mode_t mode : {0640U, 0604U, 0660U, 0610U, 0644U, 0777U}) {
    ASSERT_EQ(::chmod(path_.c_str(), mode), 0);
    const auto refused = load_key_file<SigningKey>(path_);
    ASSERT_FALSE(refused.ok()) << std::oct << mode;
    EXPECT_EQ(refused.error().code, ErrorCode::kPermissionDenied);
    EXPECT_THAT(refused.error().message, HasSubstr("chmod 600 '" + path_.string() + "'"));
  }
  for (const mode_t mode : {0600U, 0400U, 0700U}) {
    ASSERT_EQ(::chmod(path_.c_str(), mode), 0);
    EXPECT_TRUE(load_key_file<SigningKey>(path_).ok()) << std::oct << mode;
  }
}

TEST_F(KeyFileTest, AKeyOfAnotherKindIsRefusedAndNamed) {
  ASSERT_TRUE(store_key_file(path_, SealKey::generate()).ok());
  const auto refused = load_key_file<CurveSecretKey>(path_);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::kInvalidArgument);
  EXPECT_THAT(refused.error().message,
              ::testing::AllOf(HasSubstr("sealing key"), HasSubstr("CURVE key")));
}

TEST_F(KeyFileTest, AnyOtherLengthIsCorrupt) {
  ASSERT_TRUE(store_key_file(path_, SigningKey::generate()).ok());
  Bytes whole = read_file(path_, 100).value();
  ASSERT_EQ(whole.size(), kKeyFileBytes);
  for (std::size_t size = 0; size < whole.size(); ++size) {
    write_private(ByteSpan(whole).first(size));
    EXPECT_EQ(load_error(), ErrorCode::kCorrupt) << size;
  }
  whole.push_back(0);
  write_private(whole);
  EXPECT_EQ(load_error(), ErrorCode::kCorrupt);
}

TEST_F(KeyFileTest, AnyDamagedBitIsNoticed) {
  ASSERT_TRUE(store_key_file(path_, SigningKey::generate()).ok());
  Bytes whole = read_file(path_, 100).value();
  for (std::size_t at = 0; at < whole.size(); ++at) {
    const auto mask = static_cast<std::uint8_t>(1U << (at % 8));
    whole[at] ^= mask;
    // In place: the fsync of an atomic write for each of 52 bytes would only make the test slow.
    {
      auto damaged = AppendFile::open(path_);
      ASSERT_TRUE(damaged.ok());
      fs::resize_file(path_, 0);
      ASSERT_TRUE(damaged->append(whole).ok());
    }
    EXPECT_EQ(load_error(), ErrorCode::kCorrupt) << at;
    whole[at] ^= mask;
  }
}

TEST_F(KeyFileTest, AKeyIsNeverOverwritten) {
  const SigningKey first = SigningKey::generate();
  ASSERT_TRUE(store_key_file(path_, first).ok());
  EXPECT_EQ(store_key_file(path_, SigningKey::generate()).error().code, ErrorCode::kAlreadyExists);
  EXPECT_EQ(load_key_file<SigningKey>(path_).value().public_key(), first.public_key());
}

TEST_F(KeyFileTest, WhatIsNoFileIsRefusedWithoutWaiting) {
  EXPECT_EQ(load_error(), ErrorCode::kNotFound);
  ASSERT_EQ(::mkfifo(path_.c_str(), 0600), 0);
  EXPECT_EQ(load_error(), ErrorCode::kInvalidArgument);
  fs::remove(path_);
  fs::create_directory(path_);
  EXPECT_EQ(load_error(), ErrorCode::kInvalidArgument);
  EXPECT_EQ(store_key_file(folder_ / "no" / "where", SigningKey::generate()).error().code,
            ErrorCode::kNotFound);
}

} // namespace
} // namespace coppice
