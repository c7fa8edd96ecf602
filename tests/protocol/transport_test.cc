// SPDX-License-Identifier: Apache-2.0
#include <thread>

#include "tests/protocol/transport_fixture.h"

namespace coppice {
namespace {

TEST_F(TransportTest, AnEnrolledDeviceIsKnownByItsKeyAndIsAnswered) {
  Device device = enrolled(7);
  ASSERT_TRUE(device.transport->send(Channel::kControl, frame_of("good morning")));
  const std::vector<Arrival> arrivals = serve(1);
  ASSERT_EQ(arrivals.size(), 1U);
  EXPECT_EQ(arrivals[0].sender, client_number(7));
  EXPECT_EQ(arrivals[0].from.channel, Channel::kControl);
  EXPECT_EQ(arrivals[0].frame, frame_of("good morning"));

  ASSERT_TRUE(server_->send(arrivals[0].from, frame_of("and to you")));
  const auto answers = receive(*device.transport, 1);
  ASSERT_EQ(answers.size(), 1U);
  EXPECT_EQ(answers[0].channel, Channel::kControl);
  EXPECT_EQ(answers[0].frame, frame_of("and to you"));
  EXPECT_TRUE(device.transport->connection().connected);
  EXPECT_EQ(device.transport->connection().handshakes, 1U);
}

TEST_F(TransportTest, TwoDevicesAreToldApartOnBothSockets) {
  Device first = enrolled(1);
  Device second = enrolled(2);
  for (const Channel channel : {Channel::kControl, Channel::kBulk}) {
    ASSERT_TRUE(first.transport->send(channel, frame_of("from 1")));
    ASSERT_TRUE(second.transport->send(channel, frame_of("from 2")));
  }
  const std::vector<Arrival> arrivals = serve(4);
  ASSERT_EQ(arrivals.size(), 4U);
  for (const Arrival& arrival : arrivals) {
    const bool is_first = arrival.sender == client_number(1);
    EXPECT_EQ(arrival.frame, frame_of(is_first ? "from 1" : "from 2"));
    ASSERT_TRUE(server_->send(arrival.from, frame_of(is_first ? "to 1" : "to 2")));
  }
  for (const ClientArrival& answer : receive(*first.transport, 2)) {
    EXPECT_EQ(answer.frame, frame_of("to 1"));
  }
  for (const ClientArrival& answer : receive(*second.transport, 2)) {
    EXPECT_EQ(answer.frame, frame_of("to 2"));
  }
}

TEST_F(TransportTest, AnUnknownKeyNeverGetsAFrameThroughAndLearnsThatItIsRefused) {
  Device stranger = connect();
  ASSERT_TRUE(stranger.transport->send(Channel::kControl, frame_of("let me in")));
  ASSERT_TRUE(stranger.transport->send(Channel::kBulk, frame_of("let me in")));
  EXPECT_TRUE(becomes(*stranger.transport, [](const ConnectionState& now) { return now.refused; }));
  EXPECT_THAT(stranger.transport->connection().problem, ::testing::HasSubstr("new invite"));
  const auto sent = stranger.transport->send(Channel::kControl, frame_of("again"));
  ASSERT_FALSE(sent);
  EXPECT_EQ(sent.error().code, ErrorCode::kPermissionDenied);
  EXPECT_TRUE(serve(1, Millis{300}).empty());
}

TEST_F(TransportTest, ADeviceThatIsEnrolledLaterGetsInByReconnecting) {
  Device device = connect();
  ASSERT_TRUE(becomes(*device.transport, [](const ConnectionState& now) { return now.refused; }));
  allowed_.allow(device.key.public_key(), client_number(3));
  ASSERT_TRUE(device.transport->reconnect());
  ASSERT_TRUE(device.transport->send(Channel::kControl, frame_of("now")));
  const auto arrivals = serve(1);
  ASSERT_EQ(arrivals.size(), 1U);
  EXPECT_EQ(arrivals[0].sender, client_number(3));
}

TEST_F(TransportTest, ARevokedDevicesLaterFramesStillNameItSoThatTheServiceCanRefuseThem) {
  Device device = enrolled(9);
  ASSERT_TRUE(device.transport->send(Channel::kControl, frame_of("before")));
  ASSERT_EQ(serve(1).size(), 1U);
  allowed_.revoke(device.key.public_key());
  ASSERT_TRUE(device.transport->send(Channel::kControl, frame_of("after")));
  const auto arrivals = serve(1);
  ASSERT_EQ(arrivals.size(), 1U);
  EXPECT_EQ(arrivals[0].sender, client_number(9));

  ASSERT_TRUE(device.transport->reconnect()); // and a new connection is not had at all
  EXPECT_TRUE(becomes(*device.transport, [](const ConnectionState& now) { return now.refused; }));
}

TEST_F(TransportTest, AnotherServersKeyGivesNoConnectionAndAReason) {
  Device device = connect_to(CurveSecretKey::generate().public_key());
  allowed_.allow(device.key.public_key(), client_number(4));
  ASSERT_TRUE(device.transport->send(Channel::kControl, frame_of("hello?")));
  EXPECT_TRUE(
      becomes(*device.transport, [](const ConnectionState& now) { return !now.problem.empty(); }));
  EXPECT_EQ(device.transport->connection().handshakes, 0U);
  EXPECT_TRUE(serve(1, Millis{300}).empty());
}

TEST_F(TransportTest, AWholeChunkComesThroughUnchanged) {
  Device device = enrolled(5);
  Bytes chunk(limits::kFrameBytes);
  for (std::size_t i = 0; i < chunk.size(); ++i) chunk[i] = static_cast<std::uint8_t>(i * 31 >> 3U);
  for (std::uint32_t i = 0; i < limits::kCreditChunks; ++i) {
    ASSERT_TRUE(device.transport->send(Channel::kBulk, chunk));
  }
  const auto arrivals = serve(limits::kCreditChunks);
  ASSERT_EQ(arrivals.size(), limits::kCreditChunks);
  for (const Arrival& arrival : arrivals) EXPECT_EQ(arrival.frame, chunk);
}

TEST_F(TransportTest, AFullQueueIsAnErrorAndNotAWait) {
  Device device = enrolled(5);
  ASSERT_TRUE(device.transport->send(Channel::kBulk, frame_of("here")));
  const auto arrivals = serve(1);
  ASSERT_EQ(arrivals.size(), 1U);
  const Bytes chunk(limits::kFrameBytes, 1);
  ErrorCode last = ErrorCode::kInternal;
  for (int i = 0; i < 1000; ++i) { // 1000 frames are 266 MB: no loopback buffer takes them
    const auto sent = server_->send(arrivals[0].from, chunk);
    if (sent) continue;
    last = sent.error().code;
    break;
  }
  EXPECT_EQ(last, ErrorCode::kResourceExhausted);
}

TEST_F(TransportTest, APeerThatLeftCantBeSentTo) {
  Device device = enrolled(6);
  ASSERT_TRUE(device.transport->send(Channel::kControl, frame_of("bye")));
  const auto arrivals = serve(1);
  ASSERT_EQ(arrivals.size(), 1U);
  device.transport->disconnect();
  EXPECT_EQ(device.transport->send(Channel::kControl, frame_of("x")).error().code,
            ErrorCode::kUnavailable);
  Result<void> sent;
  for (int tries = 0; tries < 200 && sent; ++tries) {
    std::ignore = server_->poll(Millis{10});
    sent = server_->send(arrivals[0].from, frame_of("still there?"));
  }
  ASSERT_FALSE(sent);
  EXPECT_EQ(sent.error().code, ErrorCode::kUnavailable);
}

TEST_F(TransportTest, EnrolmentTakesAnyKeyAndGivesOneAnswer) {
  std::thread service([this] {
    const auto arrivals = serve(1);
    ASSERT_EQ(arrivals.size(), 1U);
    EXPECT_EQ(arrivals[0].from.channel, Channel::kEnroll);
    EXPECT_TRUE(arrivals[0].sender.is_zero());
    EXPECT_EQ(arrivals[0].frame, frame_of("a token"));
    EXPECT_TRUE(server_->send(arrivals[0].from, frame_of("a certificate")));
    std::ignore = server_->poll(Millis{200});
  });
  const auto reply = enroll_exchange(server_->endpoints().enroll, server_key_.public_key(),
                                     frame_of("a token"), kSoon);
  service.join();
  ASSERT_TRUE(reply) << reply.error().message;
  EXPECT_EQ(*reply, frame_of("a certificate"));
}

TEST_F(TransportTest, EnrolmentWithoutAnAnswerEndsAtItsDeadline) {
  const Millis start = clock_.monotonic();
  const auto reply = enroll_exchange(server_->endpoints().enroll, server_key_.public_key(),
                                     frame_of("a token"), Millis{200});
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().code, ErrorCode::kDeadlineExceeded);
  EXPECT_GE((clock_.monotonic() - start).count, 200);
  EXPECT_LT((clock_.monotonic() - start).count, 5000);
}

TEST_F(TransportTest, WakeEndsAWaitFromAnotherThread) {
  Device device = enrolled(1);
  const Millis start = clock_.monotonic();
  std::thread waker([&] {
    server_->wake();
    device.transport->wake();
  });
  ASSERT_TRUE(server_->poll(Millis{60'000}));
  waker.join();
  ASSERT_TRUE(device.transport->poll(Millis{60'000}));
  EXPECT_LT((clock_.monotonic() - start).count, 30'000);
}

TEST_F(TransportTest, APortInUseIsNamedWithItsMend) {
  ServerTransportOptions options;
  options.endpoints = {server_->endpoints().control, "tcp://127.0.0.1:0", "tcp://127.0.0.1:0"};
  const auto second = ServerTransport::open(
      options, server_key_, [](const CurvePublicKey&) { return std::optional<ClientId>(); });
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, ErrorCode::kUnavailable);
  EXPECT_THAT(second.error().message, ::testing::HasSubstr("port is in use"));
  EXPECT_THAT(second.error().message, ::testing::HasSubstr(options.endpoints.control));
}

TEST_F(TransportTest, AnEndpointThatIsNoneIsTheUsersMistake) {
  for (const char* endpoint : {"", "127.0.0.1", "udp://127.0.0.1:1", "tcp://127.0.0.1:notaport"}) {
    const auto opened =
        ClientTransport::open({endpoint, endpoint, server_key_.public_key(), {}}, server_key_);
    ASSERT_FALSE(opened) << endpoint;
    EXPECT_EQ(opened.error().code, ErrorCode::kInvalidArgument) << opened.error().message;
  }
}

TEST_F(TransportTest, ADeviceConnectsByItselfWhenTheServerComesBack) {
  Device device = enrolled(8);
  ASSERT_TRUE(device.transport->send(Channel::kControl, frame_of("one")));
  ASSERT_EQ(serve(1).size(), 1U);
  ASSERT_TRUE(becomes(*device.transport, [](const ConnectionState& now) { return now.connected; }));
  ServerTransportOptions options;
  options.endpoints = server_->endpoints();
  server_.reset();
  ASSERT_TRUE(
      becomes(*device.transport, [](const ConnectionState& now) { return !now.connected; }));
  EXPECT_FALSE(device.transport->connection().problem.empty());
  open_server(options);
  ASSERT_TRUE(
      becomes(*device.transport, [](const ConnectionState& now) { return now.handshakes == 2; }));
  ASSERT_TRUE(device.transport->send(Channel::kControl, frame_of("two")));
  EXPECT_EQ(serve(1).size(), 1U);
}

TEST_F(TransportTest, TheTapSeesEveryFrameThatIsSent) {
  std::vector<std::pair<Channel, std::size_t>> tapped;
  Device device = enrolled(
      1, [&](Channel channel, ByteSpan frame) { tapped.emplace_back(channel, frame.size()); });
  ASSERT_TRUE(device.transport->send(Channel::kControl, frame_of("12345")));
  ASSERT_TRUE(device.transport->send(Channel::kBulk, frame_of("123")));
  EXPECT_THAT(tapped, ::testing::ElementsAre(std::pair(Channel::kControl, std::size_t{5}),
                                             std::pair(Channel::kBulk, std::size_t{3})));
}

} // namespace
} // namespace coppice
