// SPDX-License-Identifier: Apache-2.0
// The proxy between real sockets: what passes is unchanged, and what is recorded is what was sent.
#include "protocol/recording_proxy.h"

#include "tests/protocol/transport_fixture.h"

namespace coppice {
namespace {

class RecordingProxyTest : public TransportTest {
 protected:
  void SetUp() override {
    TransportTest::SetUp();
    const ServerEndpoints ends = server_->endpoints();
    RecordingProxyOptions options;
    options.routes = {{"control", "tcp://127.0.0.1:0", ends.control},
                      {"bulk", "tcp://127.0.0.1:0", ends.bulk}};
    options.capture_bytes = 1U << 20U;
    auto opened = RecordingProxy::open(options);
    ASSERT_TRUE(opened) << opened.error().message;
    proxy_ = std::move(opened).value();
  }

  // A device whose connections run through the proxy, and which writes a ledger as the agent does.
  Device through_proxy() {
    Device device;
    allowed_.allow(device.key.public_key(), client_number(1));
    const auto ends = proxy_->endpoints();
    auto opened = ClientTransport::open(
        {ends[0], ends[1], server_key_.public_key(),
         [this](Channel channel, ByteSpan frame) {
           ledger_.push_back({channel == Channel::kControl ? "control" : "bulk", frame.size()});
           tapped_.insert(tapped_.end(), frame.begin(), frame.end());
         }},
        device.key);
    if (!opened) throw std::runtime_error(opened.error().message);
    device.transport = std::move(opened).value();
    return device;
  }

  TrafficAudit audit() {
    proxy_->stop();
    EXPECT_FALSE(proxy_->overflowed());
    return audit_traffic(proxy_->records(), ledger_);
  }

  std::unique_ptr<RecordingProxy> proxy_;
  std::vector<LedgerLine> ledger_;
  Bytes tapped_;
};

TEST_F(RecordingProxyTest, EveryFrameOfAnHonestDeviceIsAccountedFor) {
  Device device = through_proxy();
  for (const std::size_t size : std::vector<std::size_t>{0, 1, 100, 222, 223, 40'000}) {
    ASSERT_TRUE(device.transport->send(Channel::kControl, Bytes(size, 1)));
  }
  for (int i = 0; i < 5; ++i) {
    ASSERT_TRUE(device.transport->send(Channel::kBulk, Bytes(limits::kChunkBytes, 2)));
  }
  const auto arrivals = serve(11);
  ASSERT_EQ(arrivals.size(), 11U);
  ASSERT_TRUE(server_->send(arrivals[0].from, Bytes(5000, 3)));
  ASSERT_EQ(receive(*device.transport, 1).size(), 1U);

  const TrafficAudit result = audit();
  EXPECT_EQ(result.frames, 11U);
  EXPECT_EQ(result.bytes, 40'546 + 5 * limits::kChunkBytes);
  EXPECT_EQ(result.unaccounted_bytes, 0U) << ::testing::PrintToString(result.findings);
  EXPECT_EQ(result.missing_frames, 0U);
  std::uint64_t down = 0;
  for (const TrafficRecord& record : proxy_->records()) {
    if (record.direction == TrafficDirection::kDown) down += record.frame.plaintext_bytes;
  }
  EXPECT_EQ(down, 5000U);
}

TEST_F(RecordingProxyTest, AnUnledgeredSendIsFound) {
  Device device = through_proxy();
  ASSERT_TRUE(device.transport->send(Channel::kControl, Bytes(100, 1)));
  ASSERT_TRUE(device.transport->send(Channel::kControl, Bytes(64, 2)));
  ASSERT_EQ(serve(2).size(), 2U);
  ledger_.pop_back(); // the device kept silent about the second
  const TrafficAudit result = audit();
  EXPECT_EQ(result.unaccounted_frames, 1U);
  EXPECT_EQ(result.unaccounted_bytes, 2 + kCurveOverhead + 64);
}

TEST_F(RecordingProxyTest, ContentsAreHiddenOnTheWireAndSeenByTheTap) {
  const Bytes canary = frame_of("the canary sang at midnight");
  Device device = through_proxy();
  ASSERT_TRUE(device.transport->send(Channel::kControl, canary));
  ASSERT_EQ(serve(1).size(), 1U);
  const Bytes curve_hello = frame_of("HELLO"); // what is in the clear is found: the search works
  EXPECT_THAT(contains_any(proxy_->captured(), std::vector<Bytes>{canary, curve_hello}),
              ::testing::ElementsAre(::testing::Field(&NeedleFound::needle, 1U)));
  EXPECT_THAT(contains_any(tapped_, std::vector<Bytes>{canary}), ::testing::SizeIs(1));
}

TEST_F(RecordingProxyTest, ADeviceReconnectsThroughItAndIsANewConnection) {
  Device device = through_proxy();
  ASSERT_TRUE(device.transport->send(Channel::kControl, Bytes(10, 1)));
  ASSERT_EQ(serve(1).size(), 1U);
  ASSERT_TRUE(device.transport->reconnect());
  ASSERT_TRUE(device.transport->send(Channel::kControl, Bytes(20, 1)));
  ASSERT_EQ(serve(1).size(), 1U);
  EXPECT_EQ(audit().unaccounted_bytes, 0U);
  EXPECT_GE(traffic_totals(proxy_->records()).size(), 3U);
}

TEST_F(RecordingProxyTest, ATargetThatIsAwayLooksLikeAClosedConnection) {
  server_.reset();
  Device device = through_proxy();
  EXPECT_TRUE(
      becomes(*device.transport, [](const ConnectionState& now) { return !now.problem.empty(); }));
}

TEST(RecordingProxyOptions, EndpointsThatAreNoneAndPortsInUseAreRefused) {
  for (const char* listen : {"", "127.0.0.1:1", "tcp://localhost:1", "tcp://127.0.0.1:99999"}) {
    const auto opened = RecordingProxy::open({.routes = {{"r", listen, "tcp://127.0.0.1:1"}}});
    ASSERT_FALSE(opened) << listen;
    EXPECT_EQ(opened.error().code, ErrorCode::kInvalidArgument);
  }
  EXPECT_FALSE(RecordingProxy::open({}));
  auto first = RecordingProxy::open({.routes = {{"r", "tcp://127.0.0.1:0", "tcp://127.0.0.1:1"}}});
  ASSERT_TRUE(first);
  const auto second =
      RecordingProxy::open({.routes = {{"r", (*first)->endpoints()[0], "tcp://127.0.0.1:1"}}});
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, ErrorCode::kUnavailable);
}

TEST_F(RecordingProxyTest, WhenItsRecordIsFullItStopsInsteadOfLeavingAGap) {
  const ServerEndpoints ends = server_->endpoints();
  auto small = RecordingProxy::open({.routes = {{"control", "tcp://127.0.0.1:0", ends.control},
                                                {"bulk", "tcp://127.0.0.1:0", ends.bulk}},
                                     .most_records = 3});
  ASSERT_TRUE(small);
  proxy_ = std::move(small).value();
  Device device = through_proxy();
  const Millis end = clock_.monotonic() + kSoon;
  while (!proxy_->overflowed() && clock_.monotonic() < end) {
    std::ignore = device.transport->poll(Millis{20});
  }
  EXPECT_TRUE(proxy_->overflowed());
  EXPECT_EQ(proxy_->records().size(), 3U);
}

} // namespace
} // namespace coppice
