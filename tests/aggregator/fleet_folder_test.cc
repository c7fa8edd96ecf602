// SPDX-License-Identifier: Apache-2.0
#include "aggregator/fleet_folder.h"

#include <gmock/gmock.h>

#include "adapters/adapter_file.h"
#include "crypto/hash.h"
#include "tests/aggregator/temporary_folder.h"
#include "tests/protocol/samples.h"

namespace coppice {
namespace {

using ::testing::HasSubstr;

class FleetFolderTest : public ::testing::Test {
 protected:
  Result<FleetFolder> create() {
    return FleetFolder::create(
        folder_.path(),
        {.base_hash = samples::hash(0x10), .base_bytes = 99, .base_name = "tiny.gguf"},
        samples::spec());
  }
  TemporaryFolder folder_;
};

TEST_F(FleetFolderTest, WhatWasMadeOpensAgain) {
  const FleetFolder made = create().value();
  const FleetFolder opened = FleetFolder::open(folder_.path()).value();
  EXPECT_EQ(opened.facts().base_hash, samples::hash(0x10));
  EXPECT_EQ(opened.facts().base_bytes, 99U);
  EXPECT_EQ(opened.facts().base_name, "tiny.gguf");
  EXPECT_FALSE(opened.facts().test);
  EXPECT_EQ(*opened.spec(), samples::spec());
  EXPECT_EQ(opened.keys().set.number, KeySetNumber{1});
  EXPECT_EQ(opened.fleet_key(), made.fleet_key());
  EXPECT_EQ(opened.facts().fleet, sha256(made.fleet_key().span()));
}

TEST_F(FleetFolderTest, PrivateKeysAreForTheOwnerAlone) {
  create().value();
  for (const char* name :
       {"keys/fleet.key", "keys/1/signing.key", "keys/1/seal.key", "keys/1/curve.key"}) {
    EXPECT_EQ(fs::status(folder_ / name).permissions(),
              fs::perms::owner_read | fs::perms::owner_write)
        << name;
  }
}

TEST_F(FleetFolderTest, AFleetIsNeverOverwritten) {
  const auto key = create()->fleet_key();
  EXPECT_EQ(create().error().code, ErrorCode::kAlreadyExists);
  EXPECT_EQ(FleetFolder::open(folder_.path())->fleet_key(), key);
}

TEST_F(FleetFolderTest, AnotherFolderIsNoFleet) {
  const auto refused = FleetFolder::open(folder_.path());
  EXPECT_EQ(refused.error().code, ErrorCode::kNotFound);
  EXPECT_THAT(refused.error().message, HasSubstr("aggregator init"));
}

TEST_F(FleetFolderTest, RotationSignsANewSetAndKeepsTheOldOnesForRunningRounds) {
  FleetFolder folder = create().value();
  const auto first = folder.keys().set;
  ASSERT_TRUE(folder.rotate(false).ok());
  EXPECT_EQ(folder.keys().set.number, KeySetNumber{2});
  EXPECT_NE(folder.keys().set.verify, first.verify);
  EXPECT_NE(folder.keys().set.seal, first.seal);
  EXPECT_EQ(folder.keys().set.curve, first.curve); // devices that are away can still connect
  EXPECT_EQ(folder.keys(KeySetNumber{1})->set.verify, first.verify);
  EXPECT_EQ(folder.keys(KeySetNumber{3}), nullptr);
  ASSERT_TRUE(folder.rotate(true).ok());
  EXPECT_NE(folder.keys().set.curve, first.curve);
  EXPECT_TRUE(
      verify_key_set(folder.fleet_key(), folder.keys().signed_set, KeySetNumber{3}, {0}).ok());
}

TEST_F(FleetFolderTest, ARunningProcessSeesARotationOfAnother) {
  FleetFolder serving = create().value();
  ASSERT_TRUE(FleetFolder::open(folder_.path())->rotate(false).ok());
  EXPECT_EQ(serving.keys().set.number, KeySetNumber{1});
  ASSERT_TRUE(serving.reload_keys().ok());
  EXPECT_EQ(serving.keys().set.number, KeySetNumber{2});
}

TEST_F(FleetFolderTest, AKeySetThatWasHalfMadeWhenItsProcessDiedIsIgnoredAndMadeAnew) {
  FleetFolder folder = create().value();
  fs::create_directories(folder_ / "keys/2.draft");
  ASSERT_TRUE(write_file_atomically(folder_ / "keys/2.draft/signing.key", as_bytes("half")).ok());
  EXPECT_EQ(FleetFolder::open(folder_.path())->keys().set.number, KeySetNumber{1});
  ASSERT_TRUE(folder.rotate(false).ok());
  EXPECT_EQ(FleetFolder::open(folder_.path())->keys().set.number, KeySetNumber{2});
}

TEST_F(FleetFolderTest, WithTheFleetKeyOfflineItServesButDoesNotRotate) {
  create().value();
  fs::rename(folder_ / "keys/fleet.key", folder_ / "fleet.key.elsewhere");
  FleetFolder folder = FleetFolder::open(folder_.path()).value();
  const auto refused = folder.rotate(false);
  EXPECT_EQ(refused.error().code, ErrorCode::kNotFound);
  EXPECT_THAT(refused.error().message, HasSubstr("offline"));
  EXPECT_EQ(folder.keys().set.number, KeySetNumber{1});
}

TEST_F(FleetFolderTest, AKeySetOfAnotherFleetIsRefused) {
  create().value();
  const TemporaryFolder other;
  FleetFolder::create(other.path(), {}, samples::spec()).value();
  fs::remove(folder_ / "keys/1/key_set");
  fs::copy(other / "keys/1/key_set", folder_ / "keys/1/key_set");
  EXPECT_EQ(FleetFolder::open(folder_.path()).error().code, ErrorCode::kUnauthenticated);
}

TEST_F(FleetFolderTest, ARevertIsANewHigherReleaseOfEarlierContent) {
  const FleetFolder folder = create().value();
  StateStore store = StateStore::open(folder_.path()).value();
  Adapter adapter = Adapter::initial(folder.spec(), 1);
  ReleaseInputs inputs{.facts = folder.facts(), .epoch = store.epoch(), .version = {}};
  ASSERT_TRUE(
      store.commit_initial(make_release(inputs, adapter, nullptr, folder.keys().signing)).ok());
  adapter.values()[0] += 1;
  inputs.version = AdapterVersion{1};
  ASSERT_TRUE(
      store.commit_initial(make_release(inputs, adapter, nullptr, folder.keys().signing)).ok());

  const auto reverted = revert_release(folder, store, AdapterVersion{0}, Millis{5}).value();
  EXPECT_EQ(reverted.version, AdapterVersion{2});
  EXPECT_EQ(reverted.reverted_to, AdapterVersion{0});
  EXPECT_EQ(reverted.reason, ReleaseReason::kRevert);
  EXPECT_EQ(reverted.last_revert, AdapterVersion{2});
  EXPECT_EQ(reverted.parent_hash, sha256(serialize_adapter(adapter)));
  const auto stored = store.release(AdapterVersion{2}).value();
  EXPECT_EQ(stored.adapter, serialize_adapter(Adapter::initial(folder.spec(), 1)));
  EXPECT_TRUE(verify_release(folder.keys().set.verify, stored.signed_release).ok());
  // Devices have seen version 40 of a state that is lost: numbers go up from there.
  EXPECT_EQ(revert_release(folder, store, AdapterVersion{1}, {}, AdapterVersion{40})->version,
            AdapterVersion{41});
  EXPECT_EQ(revert_release(folder, store, AdapterVersion{9}, {}).error().code,
            ErrorCode::kNotFound);
}

} // namespace
} // namespace coppice
