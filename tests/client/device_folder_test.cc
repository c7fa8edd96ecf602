// SPDX-License-Identifier: Apache-2.0
#include "client/device_folder.h"

#include <gmock/gmock.h>

#include "adapters/adapter_file.h"
#include "crypto/hash.h"
#include "tests/aggregator/temporary_folder.h"
#include "tests/protocol/samples.h"

namespace coppice {
namespace {

using ::testing::HasSubstr;

class DeviceFolderTest : public ::testing::Test {
 protected:
  DeviceFolderTest() { EXPECT_TRUE(device_.create().ok()); }
  TemporaryFolder home_;
  DeviceFolder device_{home_.path()};
};

TEST_F(DeviceFolderTest, TheIdentityIsMadeOnceAndForTheOwnerAlone) {
  const ClientId id = device_.identity()->id;
  ASSERT_TRUE(device_.create().ok());
  EXPECT_EQ(device_.identity()->id, id);
  EXPECT_EQ(fs::status(home_ / "keys/signing.key").permissions(),
            fs::perms::owner_read | fs::perms::owner_write);
  const TemporaryFolder other;
  EXPECT_THAT(DeviceFolder(other.path()).identity().error().message, HasSubstr("client init"));
}

TEST_F(DeviceFolderTest, BeforeEnrolmentThereIsNoMembership) {
  const auto none = device_.membership();
  EXPECT_EQ(none.error().code, ErrorCode::kNotFound);
  EXPECT_THAT(none.error().message, HasSubstr("client enroll"));
}

TEST_F(DeviceFolderTest, AMembershipComesBackAndOneOfAnotherFleetsKeyDoesNot) {
  Membership membership;
  membership.fleet_key = samples::fleet_key().public_key();
  membership.signed_keys = sign_key_set(samples::fleet_key(), samples::key_set());
  membership.certificate = sign_certificate(samples::fleet_key(), samples::certificate());
  membership.control_endpoint = "tcp://127.0.0.1:1";
  membership.bulk_endpoint = "tcp://127.0.0.1:2";
  membership.base_hash = samples::hash(4);
  membership.base_bytes = 77;
  ASSERT_TRUE(device_.store_membership(membership).ok());
  const auto read = device_.membership().value();
  EXPECT_EQ(read.keys.number, samples::key_set().number);
  EXPECT_EQ(read.bulk_endpoint, "tcp://127.0.0.1:2");
  EXPECT_EQ(read.base_hash, samples::hash(4));
  EXPECT_EQ(read.fleet, sha256(samples::fleet_key().public_key().span()));
  membership.fleet_key = samples::key<FleetSigningKey>(99).public_key();
  ASSERT_TRUE(device_.store_membership(membership).ok());
  EXPECT_EQ(device_.membership().error().code, ErrorCode::kUnauthenticated);
}

TEST_F(DeviceFolderTest, EveryMarkSurvivesARestart) {
  EXPECT_EQ(device_.marks()->round, RoundMarks{});
  DeviceMarks marks;
  marks.round = {{9}, samples::hash(1), true, samples::hash(2), 1234, true, 3, true};
  marks.epoch = {5};
  marks.last_round_wall = {1'700'000'000'000};
  ASSERT_TRUE(device_.store_marks(marks).ok());
  const auto read = DeviceFolder(home_.path()).marks().value();
  EXPECT_EQ(read.round, marks.round);
  EXPECT_EQ(read.epoch, Epoch{5});
  EXPECT_EQ(read.last_round_wall, marks.last_round_wall);
}

TEST_F(DeviceFolderTest, DamagedMarksAreAnErrorAndNotAFreshStart) {
  ASSERT_TRUE(write_file_atomically(home_ / "marks.json", as_bytes("{\"highest_round\": 1}")).ok());
  EXPECT_FALSE(device_.marks().ok());
}

TEST_F(DeviceFolderTest, AnUploadIsThereOnlyWithItsOwnBytes) {
  const Bytes bytes{1, 2, 3};
  const Sha256 name = sha256(bytes);
  EXPECT_FALSE(device_.has_upload(name));
  ASSERT_TRUE(device_.store_upload(name, bytes).ok());
  EXPECT_TRUE(device_.has_upload(name));
  EXPECT_EQ(device_.upload(name).value(), bytes);
  ASSERT_TRUE(write_file_atomically(home_ / ("uploads/" + name.hex()), as_bytes("123")).ok());
  EXPECT_FALSE(device_.has_upload(name)); // damaged: as good as lost
  device_.forget_upload(name);
  EXPECT_FALSE(device_.upload(name).ok());
}

TEST_F(DeviceFolderTest, TheOwnersPauseStaysUntilTheOwnerResumes) {
  EXPECT_FALSE(device_.paused());
  ASSERT_TRUE(device_.set_paused(true).ok());
  EXPECT_TRUE(DeviceFolder(home_.path()).paused());
  ASSERT_TRUE(device_.set_paused(false).ok());
  EXPECT_FALSE(device_.paused());
  EXPECT_TRUE(device_.set_paused(false).ok());
}

TEST_F(DeviceFolderTest, ASharedAdapterIsCheckedAgainstItsSignedRelease) {
  const auto spec = std::make_shared<const AdapterSpec>(samples::spec());
  SharedAdapter shared{{}, samples::release(), Adapter::initial(spec, 1)};
  shared.release.adapter_hash = sha256(serialize_adapter(shared.adapter));
  shared.signed_release = sign_release(samples::aggregator_key(), shared.release);
  const VerifyKey key = samples::aggregator_key().public_key();
  EXPECT_FALSE(device_.shared(key).value());
  ASSERT_TRUE(device_.store_shared(shared).ok());
  EXPECT_EQ(serialize_adapter(device_.shared(key).value()->adapter),
            serialize_adapter(shared.adapter));
  // Signed by another key: as if there were none, so that it is fetched again.
  EXPECT_FALSE(device_.shared(samples::device_key().public_key()).value());
  Bytes raw = read_file(home_ / "shared/release", 1 << 20).value();
  raw.back() ^= 1U;
  ASSERT_TRUE(write_file_atomically(home_ / "shared/release", raw).ok());
  EXPECT_EQ(device_.shared(key).error().code, ErrorCode::kCorrupt);
}

TEST_F(DeviceFolderTest, AReleasesControlIsStoredWithItAndChecked) {
  const auto spec = std::make_shared<const AdapterSpec>(samples::spec());
  SharedAdapter shared{{}, samples::release(), Adapter::initial(spec, 1)};
  const Adapter control = Adapter::initial(spec, 2);
  shared.control =
      std::make_shared<const std::vector<float>>(control.values().begin(), control.values().end());
  shared.release.adapter_hash = sha256(serialize_adapter(shared.adapter));
  shared.release.control_hash = sha256(serialize_adapter(control));
  shared.release.control_bytes = serialize_adapter(control).size();
  shared.signed_release = sign_release(samples::aggregator_key(), shared.release);
  const VerifyKey key = samples::aggregator_key().public_key();
  ASSERT_TRUE(device_.store_shared(shared).ok());
  const auto back = device_.shared(key).value();
  EXPECT_EQ(*back->control, *shared.control);
  EXPECT_EQ(serialize_adapter(back->adapter), serialize_adapter(shared.adapter));
  Bytes raw = read_file(home_ / "shared/release", 1 << 20).value();
  raw.back() ^= 1U; // of the control
  ASSERT_TRUE(write_file_atomically(home_ / "shared/release", raw).ok());
  EXPECT_EQ(device_.shared(key).error().code, ErrorCode::kCorrupt);
}

TEST_F(DeviceFolderTest, TheBasesHashIsTakenOncePerFileAndAgainWhenItChanges) {
  const fs::path model = home_ / "model.gguf";
  ASSERT_TRUE(write_file_atomically(model, as_bytes("one")).ok());
  EXPECT_EQ(device_.base_hash(model).value(), sha256(as_bytes("one")));
  ASSERT_TRUE(write_file_atomically(model, as_bytes("two")).ok()); // another inode, another time
  EXPECT_EQ(device_.base_hash(model).value(), sha256(as_bytes("two")));
  // Remembered: what the cache says is believed until the file changes, or it is taken again.
  Bytes cache = read_file(home_ / "base.json", 1 << 16).value();
  std::string text(as_text(cache));
  text.replace(text.find(sha256(as_bytes("two")).hex()), 64, samples::hash(7).hex());
  ASSERT_TRUE(write_file_atomically(home_ / "base.json", as_bytes(text)).ok());
  EXPECT_EQ(device_.base_hash(model).value(), samples::hash(7));
  EXPECT_EQ(device_.base_hash(model, true).value(), sha256(as_bytes("two")));
  EXPECT_EQ(device_.base_hash(home_ / "none").error().code, ErrorCode::kNotFound);
}

} // namespace
} // namespace coppice
