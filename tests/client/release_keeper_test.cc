// SPDX-License-Identifier: Apache-2.0
#include "client/release_keeper.h"

#include <gmock/gmock.h>

#include "adapters/adapter_file.h"
#include "crypto/hash.h"
#include "tests/protocol/samples.h"

namespace coppice {
namespace {

using ::testing::HasSubstr;

// Three chunks of adapter (its B is zero and takes no room), two of step.
std::shared_ptr<const AdapterSpec> large_spec() {
  AdapterSpec spec;
  spec.architecture = "llama";
  spec.targets = {{.tensor = "blk.0.ffn_up", .in = 20'000, .out = 10'000, .rank = 8, .alpha = 8}};
  return std::make_shared<const AdapterSpec>(spec);
}

struct Published {
  Release release;
  Adapter adapter;
  Bytes adapter_bytes;
  Bytes step_bytes;
};

class ReleaseKeeperTest : public ::testing::Test {
 protected:
  ReleaseKeeperTest() : first_(publish(0, Adapter::initial(large_spec(), 1), nullptr)) {
    membership_.fleet = samples::hash(1);
    membership_.base_hash = samples::hash(2);
  }

  static Published publish(std::uint64_t version, Adapter adapter, const Published* parent) {
    Published made{{}, std::move(adapter), {}, {}};
    Release& release = made.release;
    release.fleet = samples::hash(1);
    release.base_hash = samples::hash(2);
    release.epoch = {1};
    release.version = {version};
    release.spec_hash = sha256(made.adapter.spec().encode());
    if (parent != nullptr) {
      const std::vector<double> step(made.adapter.values().size(), 0.001);
      const EncodedStep encoded = encode_step(made.adapter.spec(), step).value();
      EXPECT_TRUE(apply_step(made.adapter, encoded).ok());
      made.step_bytes = serialize_step(encoded);
      release.step_hash = sha256(made.step_bytes);
      release.step_bytes = made.step_bytes.size();
      release.parent_hash = parent->release.adapter_hash;
    }
    made.adapter_bytes = serialize_adapter(made.adapter);
    release.adapter_hash = sha256(made.adapter_bytes);
    release.adapter_bytes = made.adapter_bytes.size();
    return made;
  }
  Published next_of(const Published& parent) const {
    return publish(parent.release.version.value + 1, parent.adapter, &parent);
  }
  static SharedAdapter held(const Published& published) {
    return {{}, published.release, published.adapter};
  }
  static ContentChunk chunk_of(const Sha256& content, const Bytes& bytes, std::uint32_t index) {
    const auto begin = bytes.begin() + static_cast<std::ptrdiff_t>(index * limits::kChunkBytes);
    const auto end = begin + std::min<std::ptrdiff_t>(limits::kChunkBytes, bytes.end() - begin);
    return {content, index, bytes.size(), Bytes(begin, end)};
  }
  // Serves what the keeper asks for, until it installs.
  static Result<std::optional<SharedAdapter>> serve(ReleaseKeeper& keeper, Fetch fetch,
                                                    const Bytes& bytes) {
    std::optional<Fetch> wanted = fetch;
    while (wanted) {
      const Fetch now = *wanted;
      wanted.reset();
      EXPECT_LE(now.count, limits::kCreditChunks);
      for (std::uint32_t i = now.first; i < now.first + now.count; ++i) {
        auto arrived = keeper.chunk(chunk_of(now.content, bytes, i));
        if (!arrived.ok()) return arrived.error();
        if (arrived->installed) return arrived->installed;
        if (arrived->more) wanted = arrived->more;
      }
    }
    return std::optional<SharedAdapter>{};
  }
  std::string refusal(const Release& release) {
    ReleaseKeeper keeper(membership_, held(first_));
    const auto notice = keeper.notice({}, release);
    return notice.ok() ? "taken" : notice.error().message;
  }

  Membership membership_;
  Published first_;
};

TEST_F(ReleaseKeeperTest, ANewcomerFetchesTheWholeAdapter) {
  ReleaseKeeper keeper(membership_, std::nullopt);
  const auto fetch = keeper.notice({}, first_.release).value();
  ASSERT_TRUE(fetch);
  EXPECT_EQ(fetch->content, first_.release.adapter_hash);
  const auto installed = serve(keeper, *fetch, first_.adapter_bytes).value();
  ASSERT_TRUE(installed);
  EXPECT_EQ(serialize_adapter(installed->adapter), first_.adapter_bytes);
  EXPECT_FALSE(keeper.fetching());
}

TEST_F(ReleaseKeeperTest, WhoHoldsTheParentFetchesTheStepAndHoldsTheSameBits) {
  const Published second = next_of(first_);
  ReleaseKeeper keeper(membership_, held(first_));
  const auto fetch = keeper.notice({}, second.release).value();
  ASSERT_TRUE(fetch);
  EXPECT_EQ(fetch->content, second.release.step_hash);
  const auto installed = serve(keeper, *fetch, second.step_bytes).value();
  ASSERT_TRUE(installed);
  EXPECT_EQ(serialize_adapter(installed->adapter), second.adapter_bytes);
  EXPECT_EQ(keeper.held()->release.version, AdapterVersion{1});
}

// What devices' corrections need is a second content, of the adapter's shape.
TEST_F(ReleaseKeeperTest, AControlIsFetchedAfterTheStepAndInstalledWithIt) {
  Published second = next_of(first_);
  Adapter control(large_spec());
  control.values()[3] = 0.25F;
  const Bytes bytes = serialize_adapter(control);
  second.release.control_hash = sha256(bytes);
  second.release.control_bytes = bytes.size();
  ReleaseKeeper keeper(membership_, held(first_));
  const auto step = keeper.notice({}, second.release).value();
  EXPECT_EQ(step->content, second.release.step_hash);
  std::optional<Fetch> next;
  for (std::uint32_t i = 0; !next; ++i) {
    const auto arrived = keeper.chunk(chunk_of(step->content, second.step_bytes, i)).value();
    EXPECT_FALSE(arrived.installed);
    next = arrived.more;
  }
  EXPECT_EQ(next->content, second.release.control_hash);
  EXPECT_EQ(keeper.resume()->content, second.release.control_hash);
  EXPECT_EQ(keeper.held()->release.version, AdapterVersion{0});
  const auto installed = serve(keeper, *next, bytes).value();
  ASSERT_TRUE(installed);
  EXPECT_EQ(serialize_adapter(installed->adapter), second.adapter_bytes);
  EXPECT_TRUE(std::ranges::equal(*installed->control, std::as_const(control).values()));
  EXPECT_EQ(keeper.held()->control, installed->control);
}

TEST_F(ReleaseKeeperTest, AControlOfAnotherShapeOrHashIsNotInstalled) {
  AdapterSpec other = *large_spec();
  other.targets[0].rank = 4;
  const Bytes bytes = serialize_adapter(Adapter(std::make_shared<const AdapterSpec>(other)));
  for (const Sha256& hash : {sha256(bytes), samples::hash(9)}) {
    Published second = next_of(first_);
    second.release.control_hash = hash;
    second.release.control_bytes = bytes.size();
    ReleaseKeeper keeper(membership_, held(first_));
    const auto step = keeper.notice({}, second.release).value();
    std::optional<Fetch> next;
    for (std::uint32_t i = 0; !next; ++i) {
      next = keeper.chunk(chunk_of(step->content, second.step_bytes, i))->more;
    }
    EXPECT_EQ(serve(keeper, *next, bytes).error().code, ErrorCode::kCorrupt);
    EXPECT_EQ(keeper.held()->release.version, AdapterVersion{0});
    EXPECT_FALSE(keeper.fetching());
  }
}

TEST_F(ReleaseKeeperTest, AStragglerFetchesTheWholeAdapter) {
  const Published third = next_of(next_of(first_));
  ReleaseKeeper keeper(membership_, held(first_));
  EXPECT_EQ(keeper.notice({}, third.release).value()->content, third.release.adapter_hash);
}

TEST_F(ReleaseKeeperTest, WhatIsHeldOrUnderWayIsNotFetchedAgain) {
  const Published second = next_of(first_);
  ReleaseKeeper keeper(membership_, held(first_));
  EXPECT_FALSE(keeper.notice({}, first_.release).value());
  EXPECT_TRUE(keeper.notice({}, second.release).value());
  EXPECT_FALSE(keeper.notice({}, second.release).value());
}

TEST_F(ReleaseKeeperTest, EveryMismatchIsRefusedWithItsReason) {
  const Release good = next_of(first_).release;
  EXPECT_EQ(refusal(good), "taken");
  const auto changed = [&](auto change) {
    Release release = good;
    change(release);
    return refusal(release);
  };
  EXPECT_THAT(changed([](Release& r) { r.fleet = samples::hash(9); }), HasSubstr("another fleet"));
  EXPECT_THAT(changed([](Release& r) { r.base_hash = samples::hash(9); }), HasSubstr("base"));
  EXPECT_THAT(changed([](Release& r) { r.test = true; }), HasSubstr("test"));
  EXPECT_THAT(changed([](Release& r) { r.epoch = {0}; }), HasSubstr("epoch"));
  EXPECT_THAT(changed([](Release& r) { r.spec_hash = samples::hash(9); }), HasSubstr("shape"));
  EXPECT_THAT(changed([](Release& r) { r.adapter_bytes = limits::kReleaseBytes + 1; }),
              HasSubstr("larger"));
  EXPECT_THAT(changed([](Release& r) { r.version = {0}; }), HasSubstr("another adapter"));
}

TEST_F(ReleaseKeeperTest, AnOlderVersionIsRefused) {
  const Published second = next_of(first_);
  ReleaseKeeper keeper(membership_, held(second));
  EXPECT_THAT(keeper.notice({}, first_.release).error().message, HasSubstr("older"));
}

TEST_F(ReleaseKeeperTest, SpentPrivacyNeverGoesDown) {
  Release lower = next_of(first_).release;
  first_.release.cumulative_epsilon = 2;
  lower.cumulative_epsilon = 1;
  EXPECT_THAT(refusal(lower), HasSubstr("privacy"));
}

TEST_F(ReleaseKeeperTest, BytesOfAnotherHashAreNotInstalled) {
  ReleaseKeeper keeper(membership_, std::nullopt);
  const auto fetch = keeper.notice({}, first_.release).value();
  Bytes altered = first_.adapter_bytes;
  altered.back() ^= 1U;
  EXPECT_EQ(serve(keeper, *fetch, altered).error().code, ErrorCode::kCorrupt);
  EXPECT_FALSE(keeper.held());
  EXPECT_TRUE(keeper.notice({}, first_.release).value()); // it may be fetched again
}

TEST_F(ReleaseKeeperTest, AStepThatLeadsElsewhereIsNotInstalled) {
  Published second = next_of(first_);
  second.release.adapter_hash = samples::hash(9);
  ReleaseKeeper keeper(membership_, held(first_));
  const auto fetch = keeper.notice({}, second.release).value();
  const auto outcome = serve(keeper, *fetch, second.step_bytes);
  EXPECT_THAT(outcome.error().message, HasSubstr("doesn't lead to the signed adapter"));
  EXPECT_EQ(keeper.held()->release.version, AdapterVersion{0});
}

TEST_F(ReleaseKeeperTest, AChunkOutOfOrderEndsTheFetchAndARepeatDoesNot) {
  ASSERT_GT(first_.adapter_bytes.size(), limits::kChunkBytes);
  ReleaseKeeper keeper(membership_, std::nullopt);
  const auto fetch = keeper.notice({}, first_.release).value();
  const Sha256 content = fetch->content;
  EXPECT_TRUE(keeper.chunk(chunk_of(content, first_.adapter_bytes, 0)).ok());
  EXPECT_TRUE(keeper.chunk(chunk_of(content, first_.adapter_bytes, 0)).ok());
  EXPECT_EQ(keeper.resume()->first, 1U); // after a reconnect: from where it stopped
  ContentChunk wrong = chunk_of(content, first_.adapter_bytes, 1);
  wrong.index = 2;
  EXPECT_EQ(keeper.chunk(wrong).error().code, ErrorCode::kCorrupt);
  EXPECT_FALSE(keeper.fetching());
}

TEST_F(ReleaseKeeperTest, ContentThatWasNotAskedForIsIgnored) {
  ReleaseKeeper keeper(membership_, std::nullopt);
  EXPECT_TRUE(keeper.chunk({samples::hash(5), 0, 10, Bytes(10)}).ok());
  EXPECT_FALSE(keeper.resume());
}

} // namespace
} // namespace coppice
