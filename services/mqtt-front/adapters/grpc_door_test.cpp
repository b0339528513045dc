#include "adapters/grpc_door.h"

#include "testing/door_front.h"

#include <atomic>
#include <future>
#include <thread>

#include <sluice/crypto/testing/test_ca.h>
#include <sluice/grpc/config.h>
#include <sluice/grpc/raw.h>
#include <sluice/mqtt/v1/mqtt_front.grpc.pb.h>
#include <sluice/testing/captured_log.h>
#include <sluice/testing/eventually.h>
#include <sluice/testing/temp_dir.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice::front {
namespace {

using namespace std::chrono_literals;
using namespace ::sluice::mqtt::v1;  // NOLINT: the messages of this one interface
using ::testing::ElementsAre;
using Client = rpc::Client<MqttFrontService>;
using testing::DoorFront;

template <typename T>
ErrorCode code_of(const Result<T>& result) {
  return result ? ErrorCode::kUnknown : result.error().code();
}

/// A front with two loops behind a door on loopback, and a caller with or without a name.
class DoorTest : public ::testing::Test {
 protected:
  ~DoorTest() override {
    if (channel_) channel_->stop();
    if (server_) server_->stop();
  }

  /// Without names everything is plaintext, and everybody may ask everything.
  void open(const std::string& caller = "", std::int64_t workers = 8) {
    const auto identity = [&](const std::string& name) {
      return caller.empty() ? crypto::TlsIdentity()
                            : ca_.write_identity((folder_.path() / name).string(), name);
    };
    Settings settings;
    rpc::ServerConfig server_config;
    rpc::ClientConfig client_config;
    server_config.declare(settings);
    client_config.declare(settings, "mqtt-front");
    ASSERT_TRUE(settings.load("grpc_listen: 127.0.0.1:0\nmqtt_front_address: 127.0.0.1:1\n", {}));
    server_config.workers = workers;
    server_ = std::make_unique<rpc::Server>(server_config, identity("mqtt-front"), clock_, random_,
                                            log_, front_.registry);
    door_ =
        std::make_unique<GrpcDoor>(GrpcDoor::Settings{.max_payload = 100}, clock_, front_.topics,
                                   FrontLoops(front_.posts()), *server_, front_.registry);
    ASSERT_TRUE(server_->start());
    client_config.address = server_->address();
    client_config.timeout = 60s;
    auto channel =
        rpc::Channel::open(client_config, identity(caller), clock_, random_, log_, front_.registry);
    ASSERT_TRUE(channel);
    channel_ = *std::move(channel);
    client_ = std::make_unique<Client>(*channel_);
  }

  static PublishRequest command_to(const std::string& device) {
    PublishRequest request;
    request.set_tenant("acme");
    request.mutable_message()->set_topic("tenant/acme/device/" + device + "/commands/c1");
    request.mutable_message()->set_payload("open the valve");
    request.mutable_message()->set_qos(1);
    return request;
  }

  static Delivery delivery_to(const std::string& device, const std::string& payload) {
    Delivery delivery;
    delivery.set_session("acme/" + device);
    delivery.mutable_message()->set_topic("tenant/acme/device/" + device + "/commands/c1");
    delivery.mutable_message()->set_payload(payload);
    delivery.mutable_message()->set_qos(1);
    return delivery;
  }

  Result<PublishResponse> publish(const PublishRequest& request,
                                  std::chrono::milliseconds timeout = 60s) {
    return client_->call(&Client::Stub::Publish, request, {.timeout = timeout});
  }
  Result<DeliverResponse> deliver(const DeliverRequest& request) {
    return client_->call(&Client::Stub::Deliver, request, {});
  }
  Result<ReleaseResponse> release(const std::string& session, std::uint64_t epoch) {
    ReleaseRequest request;
    request.set_session(session);
    request.set_epoch(epoch);
    return client_->call(&Client::Stub::Release, request, {});
  }

  /// Fields that the answer to a publish names as faulty.
  std::vector<std::string> faults_of(const PublishRequest& request) {
    const auto answer = publish(request);
    EXPECT_FALSE(answer);
    std::vector<std::string> fields;
    if (answer) return fields;
    EXPECT_EQ(answer.error().code(), ErrorCode::kInvalidArgument);
    for (const FieldFault& fault : answer.error().faults()) fields.push_back(fault.field);
    return fields;
  }

  SystemClock clock_;
  SystemRandom random_;
  std::shared_ptr<sluice::testing::CapturedLog> lines_ =
      std::make_shared<sluice::testing::CapturedLog>();
  Logger log_ = lines_->logger("test", clock_);
  sluice::testing::TempDir folder_;
  crypto::testing::TestCa ca_;
  DoorFront front_{2, clock_};
  std::unique_ptr<rpc::Server> server_;
  std::unique_ptr<GrpcDoor> door_;
  std::unique_ptr<rpc::Channel> channel_;
  std::unique_ptr<Client> client_;
};

TEST_F(DoorTest, PublishReachesTheDeviceWhoseTopicItIs) {
  open();
  for (const std::string device : {"d1", "d2", "d3", "d4"}) {
    front_.connect(device);
    const auto answer = publish(command_to(device));
    ASSERT_TRUE(answer) << answer.error().message();
    EXPECT_EQ(answer->delivered(), 1U) << device;
    EXPECT_TRUE(front_.was_sent(device, "open the valve"));
  }
}

TEST_F(DoorTest, PublishCountsWhatWaitsInAQueue) {
  open();
  front_.place(DoorFront::key_of("away"),
               {.exists = true,
                .subscriptions = {{.filter = "tenant/acme/device/away/commands/#",
                                   .qos = mqtt::Qos::kAtLeastOnce}}});
  const auto answer = publish(command_to("away"));
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->queued(), 1U);
  EXPECT_EQ(front_.enqueued(), 1U);
}

TEST_F(DoorTest, PublishReachesNoDeviceOfAnotherTenant) {
  open();
  front_.connect("d1");
  PublishRequest request = command_to("d1");
  request.set_tenant("other");
  const auto answer = publish(request);
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->delivered() + answer->queued() + answer->dropped(), 0U);
  EXPECT_FALSE(front_.was_sent("d1", "open the valve"));
}

TEST_F(DoorTest, PublishKeepsPropertiesOfTheMessage) {
  open();
  front_.connect("d1");
  PublishRequest request = command_to("d1");
  request.mutable_message()->set_content_type("text/x-valve");
  request.mutable_message()->set_response_topic("reply/here");
  request.mutable_message()->set_correlation_data("corr-1");
  auto* const property = request.mutable_message()->add_user_properties();
  property->set_name("by");
  property->set_value("operator-7");
  ASSERT_TRUE(publish(request));
  for (const char* const text : {"text/x-valve", "reply/here", "corr-1", "operator-7"}) {
    EXPECT_TRUE(front_.was_sent("d1", text)) << text;
  }
}

TEST_F(DoorTest, PublishDropsWhatHasExpired) {
  open();
  front_.connect("d1");
  PublishRequest request = command_to("d1");
  request.mutable_message()->set_expires_at_ms(1);
  const auto answer = publish(request);
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->delivered(), 0U);
}

TEST_F(DoorTest, PublishNamesEveryFaultyField) {
  open();
  PublishRequest request = command_to("d1");
  Message& message = *request.mutable_message();
  message.set_topic("tenant/+/device");
  message.set_payload(std::string(101, 'x'));
  message.set_qos(3);
  message.set_expires_at_ms(-1);
  message.set_response_topic("a/#");
  message.set_payload_format(2);
  for (int i = 0; i < 65; ++i) message.add_user_properties()->set_name("n");
  EXPECT_THAT(faults_of(request), ElementsAre("message.topic", "message.payload", "message.qos",
                                              "message.expires_at_ms", "message.response_topic",
                                              "message.payload_format", "message.user_properties"));
}

TEST_F(DoorTest, PublishRefusesATenantThatIsNoId) {
  open();
  PublishRequest request = command_to("d1");
  request.set_tenant("a/b");
  EXPECT_EQ(code_of(publish(request)), ErrorCode::kInvalidArgument);
}

TEST_F(DoorTest, PublishThatNoLoopTakesEndsAtItsDeadlineAndALateAnswerHurtsNobody) {
  open();
  front_.connect("d1");
  front_.hold();
  EXPECT_EQ(code_of(publish(command_to("d1"), 50ms)), ErrorCode::kDeadlineExceeded);
  front_.release();
  front_.settle();
  EXPECT_TRUE(front_.was_sent("d1", "open the valve"));
  // The next one gets its own answer: that nobody has this device.
  const auto answer = publish(command_to("d2"));
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->delivered(), 0U);
}

TEST_F(DoorTest, DeliverSaysWhatBecameOfEachInOrder) {
  open();
  for (const std::string device : {"d1", "d2", "d3"}) front_.connect(device);
  DeliverRequest request;
  *request.add_deliveries() = delivery_to("d3", "three");
  *request.add_deliveries() = delivery_to("gone", "lost");
  *request.add_deliveries() = delivery_to("d1", "one");
  Delivery& unwanted = *request.add_deliveries() = delivery_to("d2", "unwanted");
  unwanted.mutable_message()->set_topic("tenant/acme/device/d2/shadow/get/accepted");
  unwanted.set_by_own_filters(true);
  const auto answer = deliver(request);
  ASSERT_TRUE(answer) << answer.error().message();
  EXPECT_THAT(answer->outcomes(), ElementsAre(DELIVERY_OUTCOME_TAKEN, DELIVERY_OUTCOME_NOT_HERE,
                                              DELIVERY_OUTCOME_TAKEN, DELIVERY_OUTCOME_NOBODY));
  EXPECT_TRUE(front_.was_sent("d1", "one"));
  EXPECT_TRUE(front_.was_sent("d3", "three"));
  EXPECT_FALSE(front_.was_sent("d2", "unwanted"));
}

TEST_F(DoorTest, DeliverSaysWhatASessionCouldNotKeep) {
  open();
  front_.refuse_deliveries();
  front_.connect("d1", {.session_expiry_seconds = 100, .receive_maximum = 1});
  DeliverRequest request;
  *request.add_deliveries() = delivery_to("d1", "sent");
  *request.add_deliveries() = delivery_to("d1", "behind it");
  const auto answer = deliver(request);
  ASSERT_TRUE(answer) << answer.error().message();
  EXPECT_THAT(answer->outcomes(), ElementsAre(DELIVERY_OUTCOME_TAKEN, DELIVERY_OUTCOME_FAILED));
  EXPECT_TRUE(front_.was_sent("d1", "sent"));
  EXPECT_FALSE(front_.was_sent("d1", "behind it"));
  EXPECT_TRUE(
      front_.registry.scrape().contains("sluice_mqtt_door_deliveries_total{outcome=\"failed\"} 1"));
}

TEST_F(DoorTest, DeliverLooksForASessionNowhereElse) {
  open();
  // To its own address: the message would go round for ever.
  front_.place(DoorFront::key_of("elsewhere"),
               {.exists = true, .owner = SessionStore::Owned{.address = server_->address()}});
  DeliverRequest request;
  *request.add_deliveries() = delivery_to("elsewhere", "x");
  const auto answer = deliver(request);
  ASSERT_TRUE(answer);
  EXPECT_THAT(answer->outcomes(), ElementsAre(DELIVERY_OUTCOME_NOT_HERE));
  EXPECT_EQ(front_.forwarded(), 0U);
}

TEST_F(DoorTest, DeliverWaitsForASessionThatIsBeingClaimed) {
  open();
  front_.hold_claims();
  front_.connect("d1");
  DeliverRequest request;
  *request.add_deliveries() = delivery_to("d1", "early");
  auto answer = std::async(std::launch::async, [&] { return deliver(request); });
  front_.finish_claims();
  ASSERT_TRUE(answer.get());
  // Whether it came before or after the claim was finished: it is not lost.
  EXPECT_TRUE(front_.was_sent("d1", "early"));
}

// Two fronts whose Publish each waits for the other's Deliver would else wait for each other.
TEST_F(DoorTest, DeliverDoesNotWaitForThreadsThatPublishHas) {
  open("", 1);
  front_.connect("d1");
  front_.hold_claims();
  front_.connect("d2");
  auto publishing = std::async(std::launch::async, [&] { return publish(command_to("d2")); });
  ASSERT_TRUE(sluice::testing::eventually([&] {
    return front_.registry.gauge("sluice_grpc_server_calls_in_flight", "Calls under way.")
               .value() == 1;
  }));
  DeliverRequest request;
  *request.add_deliveries() = delivery_to("d1", "x");
  const auto answer = client_->call(&Client::Stub::Deliver, request, {.timeout = 10s});
  EXPECT_TRUE(answer) << answer.error().message();
  EXPECT_EQ(publishing.wait_for(0s), std::future_status::timeout) << "or nothing was tested";
  front_.finish_claims();
  EXPECT_TRUE(publishing.get());
}

TEST_F(DoorTest, DeliverRefusesAMessageThatNoDeviceCouldRead) {
  open();
  DeliverRequest request;
  *request.add_deliveries() = delivery_to("d1", "one");
  *request.add_deliveries() = delivery_to("d1", "two");
  request.mutable_deliveries(1)->mutable_message()->set_topic("");
  const auto answer = deliver(request);
  ASSERT_FALSE(answer);
  ASSERT_EQ(answer.error().faults().size(), 1U);
  EXPECT_EQ(answer.error().faults()[0].field, "deliveries[1].message.topic");
}

TEST_F(DoorTest, ReleaseEndsTheConnection) {
  open();
  front_.connect("d1");
  const auto answer = release("acme/d1", ~std::uint64_t{0});
  ASSERT_TRUE(answer) << answer.error().message();
  EXPECT_TRUE(answer->was_held());
  EXPECT_FALSE(front_.is_connected("d1"));
  EXPECT_FALSE(release("acme/d1", ~std::uint64_t{0})->was_held());
}

TEST_F(DoorTest, ReleaseLeavesALaterEpochAlone) {
  open();
  front_.connect("d1");
  EXPECT_FALSE(release("acme/d1", 0)->was_held());
  EXPECT_TRUE(front_.is_connected("d1"));
}

TEST_F(DoorTest, OnlyFrontsHandOverSessions) {
  open("shadow-service");
  DeliverRequest request;
  *request.add_deliveries() = delivery_to("d1", "one");
  EXPECT_EQ(code_of(deliver(request)), ErrorCode::kPermissionDenied);
  EXPECT_EQ(code_of(release("acme/d1", 1)), ErrorCode::kPermissionDenied);
  EXPECT_TRUE(publish(command_to("d1")));
}

TEST_F(DoorTest, FrontsDoNotPublishButHandOver) {
  open("mqtt-front");
  front_.connect("d1");
  DeliverRequest request;
  *request.add_deliveries() = delivery_to("d1", "one");
  EXPECT_TRUE(deliver(request));
  EXPECT_TRUE(release("acme/d1", 1));
  EXPECT_EQ(code_of(publish(command_to("d1"))), ErrorCode::kPermissionDenied);
}

}  // namespace
}  // namespace sluice::front
