#include <sluice/redis/client.h>

#include "fake_redis.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <csignal>
#include <format>
#include <latch>
#include <mutex>
#include <set>
#include <thread>

#include <sluice/crypto/testing/test_ca.h>
#include <sluice/testing/captured_log.h>
#include <sluice/testing/child_process.h>
#include <sluice/testing/environment.h>
#include <sluice/testing/eventually.h>
#include <sluice/testing/fault_proxy.h>
#include <sluice/testing/free_port.h>
#include <sluice/testing/temp_dir.h>

#include <gtest/gtest.h>
#include <unistd.h>

namespace sluice::redis {
namespace {

using namespace std::chrono_literals;
using testing::eventually;

/// A client and what it is given.
struct Fixture {
  explicit Fixture(Config config, const Clock& with_clock = system_clock())
      : log(std::make_shared<testing::CapturedLog>()) {
    auto opened = Client::open(std::move(config), with_clock, random, registry,
                               log->logger("test", with_clock));
    if (!opened) throw std::runtime_error(opened.error().message());
    client = *std::move(opened);
  }

  static const Clock& system_clock() {
    static const SystemClock clock;
    return clock;
  }

  SystemRandom random;
  Registry registry;
  std::shared_ptr<testing::CapturedLog> log;
  std::unique_ptr<Client> client;
};

Config config_for(std::string url, std::string mode = "single") {
  Config config;
  config.url = std::move(url);
  config.mode = std::move(mode);
  config.command_timeout = 5s;
  config.max_pending = 10'000;
  return config;
}

Config stack_config() { return config_for(testing::require_env("SLUICE_TEST_REDIS_URL")); }

Config cluster_config() {
  return config_for("redis://" + testing::require_env("SLUICE_TEST_REDIS_CLUSTER"), "cluster");
}

/// A Redis of the test's own, which it may freeze and kill.
class OwnRedis {
 public:
  explicit OwnRedis(std::vector<std::string> options = {}, bool tls = false)
      : port_(testing::free_port()), tls_(tls), options_(std::move(options)) {
    start();
  }

  void start() {
    std::vector<std::string> arguments{"--bind", "127.0.0.1", "--save",
                                       "",       "--dir",     folder_.path().string()};
    arguments.insert(arguments.end(), {"--port", tls_ ? "0" : std::to_string(port_)});
    if (tls_) arguments.insert(arguments.end(), {"--tls-port", std::to_string(port_)});
    arguments.insert(arguments.end(), options_.begin(), options_.end());
    process_ = std::make_unique<testing::ChildProcess>(testing::ChildProcess::Options{
        .program = "/usr/bin/redis-server", .arguments = arguments, .address_file = false});
    if (!process_->wait_for_output("Ready to accept connections")) {
      throw std::runtime_error("redis-server did not start: " + process_->output());
    }
  }
  void freeze() { process_->freeze(); }
  void thaw() { process_->signal(SIGCONT); }
  void kill() {
    process_->signal(SIGKILL);
    process_->wait();
  }
  std::string address(const char* host = "127.0.0.1") const {
    return std::format("{}:{}", host, port_);
  }

 private:
  testing::TempDir folder_;
  std::uint16_t port_;
  bool tls_;
  std::vector<std::string> options_;
  std::unique_ptr<testing::ChildProcess> process_;
};

Result<Reply> get(Client& client, const std::string& key) {
  return client.call(Command::on_key(key, {"GET", key}));
}
Result<Reply> set(Client& client, const std::string& key, const std::string& value) {
  return client.call(Command::on_key(key, {"SET", key, value}));
}

// The name of a primary leads to another server after a failover; the connection would not.
TEST(Client, LeavesAServerThatHasBecomeAReplica) {
  const auto answer = [](const FakeRedis::Words& words, int connection) -> std::string {
    if (words.front() == "PING") return "+PONG\r\n";
    return connection == 1 ? "-READONLY You can't write against a read only replica.\r\n"
                           : "+OK\r\n";
  };
  FakeRedis* server = nullptr;
  FakeRedis redis(
      [&](const FakeRedis::Words& words) { return answer(words, server->connections()); });
  server = &redis;
  Fixture fixture(config_for(redis.url()));
  const auto refused = set(*fixture.client, "key", "value");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().reason(), "READONLY");
  EXPECT_EQ(refused.error().code(), ErrorCode::kUnavailable);
  EXPECT_TRUE(set(*fixture.client, "key", "value"));
  EXPECT_EQ(redis.connections(), 2);
}

TEST(Client, StoresAndReadsAnyBytes) {
  Fixture fixture(stack_config());
  const std::string key = testing::unique_name("bytes");
  const std::string value("\0\r\n\xff$5\r\n", 9);
  ASSERT_TRUE(set(*fixture.client, key, value));
  EXPECT_EQ(get(*fixture.client, key)->text(), value);
}

TEST(Client, TellsNilFromEmpty) {
  Fixture fixture(stack_config());
  const std::string key = testing::unique_name("nil");
  EXPECT_TRUE(get(*fixture.client, key)->is_nil());
  ASSERT_TRUE(set(*fixture.client, key, ""));
  EXPECT_FALSE(get(*fixture.client, key)->is_nil());
  EXPECT_EQ(get(*fixture.client, key)->text(), "");
}

TEST(Client, ReadsNestedArraysAndErrorsInside) {
  Fixture fixture(stack_config());
  auto reply = fixture.client->call(Command::anywhere(
      {"EVAL", "return {1, 'two', {3, redis.error_reply('inner')}, false}", "0"}));
  ASSERT_TRUE(reply);
  ASSERT_EQ(reply->items().size(), 4U);
  EXPECT_EQ(reply->items()[0].integer(), 1);
  EXPECT_EQ(reply->items()[1].text(), "two");
  EXPECT_EQ(reply->items()[2].items()[1].kind(), Reply::Kind::kError);
  EXPECT_TRUE(reply->items()[3].is_nil());
}

TEST(Client, AnswersCommandsOfOneThreadInOrder) {
  Fixture fixture(stack_config());
  const std::string key = testing::unique_name("order");
  std::vector<Command> commands;
  for (int i = 0; i < 5'000; ++i) commands.push_back(Command::on_key(key, {"INCR", key}));
  const auto replies = fixture.client->call_all(std::move(commands));
  for (std::size_t i = 0; i < replies.size(); ++i) {
    ASSERT_TRUE(replies[i]);
    ASSERT_EQ(replies[i]->integer(), static_cast<std::int64_t>(i + 1));
  }
}

TEST(Client, ServesManyThreadsAtOnce) {
  Fixture fixture(stack_config());
  const std::string key = testing::unique_name("threads");
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 8; ++t) {
      threads.emplace_back([&] {
        for (int i = 0; i < 200; ++i) {
          EXPECT_TRUE(fixture.client->call(Command::on_key(key, {"INCR", key})));
        }
      });
    }
  }
  EXPECT_EQ(get(*fixture.client, key)->text(), "1600");
}

TEST(Client, PassesOnWhatRedisRefuses) {
  Fixture fixture(stack_config());
  const std::string key = testing::unique_name("refused");
  ASSERT_TRUE(set(*fixture.client, key, "text"));
  const auto reply = fixture.client->call(Command::on_key(key, {"LPUSH", key, "x"}));
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().code(), ErrorCode::kFailedPrecondition);
  EXPECT_EQ(reply.error().reason(), "WRONGTYPE");
}

TEST(Client, RunsAScriptThatTheServerDoesNotKnowYet) {
  Fixture fixture(stack_config());
  const std::string key = testing::unique_name("script");
  const Script script(std::format("return redis.call('SET', KEYS[1], ARGV[1]) -- {}", key));
  ASSERT_TRUE(script.call(*fixture.client, {key}, {"first"}));   // by EVAL, after NOSCRIPT
  ASSERT_TRUE(script.call(*fixture.client, {key}, {"second"}));  // by EVALSHA
  EXPECT_EQ(get(*fixture.client, key)->text(), "second");
}

TEST(Client, RunsAScriptManyTimesInFewRoundTrips) {
  auto proxy = testing::FaultProxy::start(
      {.target = testing::require_env("SLUICE_TEST_REDIS_URL").substr(8)});
  ASSERT_TRUE(proxy);
  Fixture fixture(config_for("redis://" + (*proxy)->address()));
  const std::string key = testing::unique_name("script");
  const Script script(std::format("return redis.call('INCRBY', KEYS[1], ARGV[1]) -- {}", key));
  const std::vector<Script::Call> calls(1000, {.keys = {key}, .arguments = {"2"}});
  std::int64_t sum = 0;
  for (const auto& reply : script.call_all(*fixture.client, calls)) {
    ASSERT_TRUE(reply);
    EXPECT_EQ(reply->integer(), sum += 2);
  }
  EXPECT_EQ(sum, 2000);
  EXPECT_LT((*proxy)->stats().round_trips, calls.size() / 5);
}

TEST(Client, RefusesMoreThanTheBoundAtOnceAndNamesIt) {
  auto proxy = testing::FaultProxy::start(
      {.target = testing::require_env("SLUICE_TEST_REDIS_URL").substr(8)});
  ASSERT_TRUE(proxy);
  Config config = config_for("redis://" + (*proxy)->address());
  config.max_pending = 10;
  Fixture fixture(config);
  ASSERT_TRUE(fixture.client->ping());
  (*proxy)->freeze();
  std::atomic<int> refused = 0;
  std::latch answered(20);
  for (int i = 0; i < 20; ++i) {
    fixture.client->send(Command::anywhere({"PING"}), [&](Result<Reply> reply) {
      if (!reply && reply.error().reason() == "redis_max_pending") ++refused;
      answered.count_down();
    });
  }
  EXPECT_EQ(refused, 10);
  (*proxy)->thaw();
  answered.wait();
  EXPECT_EQ(refused, 10);
}

TEST(Client, FailsAgainstAFrozenServerAndRecovers) {
  OwnRedis redis;
  Config config = config_for("redis://" + redis.address());
  config.command_timeout = 200ms;
  Fixture fixture(config);
  ASSERT_TRUE(set(*fixture.client, "k", "before"));
  redis.freeze();
  const auto reply = get(*fixture.client, "k");
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().code(), ErrorCode::kDeadlineExceeded);
  EXPECT_EQ(reply.error().reason(), "outcome_unknown");
  redis.thaw();
  EXPECT_TRUE(eventually([&] { return get(*fixture.client, "k").has_value(); }));
}

TEST(Client, SaysThatTheOutcomeIsUnknownWhenTheConnectionDiesUnderACommand) {
  OwnRedis redis;
  Fixture fixture(config_for("redis://" + redis.address()));
  ASSERT_TRUE(fixture.client->ping());
  redis.freeze();  // so that the command is sent and not answered
  std::latch answered(1);
  Error error(ErrorCode::kUnknown, "");
  fixture.client->send(Command::on_key("k", {"INCR", "k"}), [&](Result<Reply> reply) {
    if (!reply) error = reply.error();
    answered.count_down();
  });
  // Whether the command has reached the socket cannot be seen from here; a second client's cannot
  // either. What matters: killed after it was handed in, it must end, and never as done.
  redis.kill();
  answered.wait();
  EXPECT_EQ(error.code(), ErrorCode::kUnavailable) << error.message();
}

TEST(Client, NeverRepeatsACommandWhoseOutcomeIsUnknown) {
  OwnRedis redis({"--appendonly", "yes", "--appendfsync", "always"});
  auto proxy = testing::FaultProxy::start({.target = redis.address()});
  ASSERT_TRUE(proxy);
  Config config = config_for("redis://" + (*proxy)->address());
  config.command_timeout = 300ms;
  Fixture fixture(config);
  ASSERT_TRUE(set(*fixture.client, "count", "0"));
  testing::LinkFaults no_answers;
  no_answers.dropped = true;
  (*proxy)->set_faults(testing::Direction::kDown, no_answers);
  const auto lost = fixture.client->call(Command::on_key("count", {"INCR", "count"}));
  ASSERT_FALSE(lost);
  EXPECT_EQ(lost.error().reason(), "outcome_unknown");
  (*proxy)->heal();
  (*proxy)->reset();
  ASSERT_TRUE(eventually([&] { return fixture.client->ping().has_value(); }));
  EXPECT_EQ(get(*fixture.client, "count")->text(), "1");
}

TEST(Client, WaitsForAServerThatComesBackWithinTheDeadline) {
  OwnRedis redis;
  Config config = config_for("redis://" + redis.address());
  config.command_timeout = 20s;
  Fixture fixture(config);
  ASSERT_TRUE(fixture.client->ping());
  redis.kill();
  // The loss is noticed through a failed command or by the kernel's reset; then this one waits.
  ASSERT_TRUE(eventually([&] {
    return fixture.registry.scrape().find("sluice_redis_connections_lost_total 0") ==
           std::string::npos;
  }));
  std::latch answered(1);
  bool is_done = false;
  fixture.client->send(Command::on_key("k", {"SET", "k", "v"}), [&](Result<Reply> reply) {
    is_done = reply.has_value();
    answered.count_down();
  });
  redis.start();
  answered.wait();
  EXPECT_TRUE(is_done);
}

TEST(Client, FailsUnsentCommandsAtTheirDeadlineWhenNobodyListens) {
  Config config = config_for(std::format("redis://127.0.0.1:{}", testing::free_port()));
  config.command_timeout = 200ms;
  Fixture fixture(config);
  const auto reply = fixture.client->ping();
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().code(), ErrorCode::kUnavailable);
  EXPECT_NE(reply.error().reason(), "outcome_unknown");
  EXPECT_EQ(fixture.log->count("redis_connection_lost"), 1U);
}

TEST(Client, AuthenticatesWithThePasswordAndNeverLogsIt) {
  const std::string canary = "canary-7d1f";
  OwnRedis redis({"--requirepass", canary});
  Config config = config_for("redis://" + redis.address());
  config.command_timeout = 500ms;
  {
    Fixture without(config);
    const auto refused = without.client->ping();
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code(), ErrorCode::kPermissionDenied);
  }
  config.password = Secret("wrong");
  {
    Fixture wrong(config);
    const auto refused = wrong.client->ping();
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code(), ErrorCode::kUnauthenticated);
  }
  config.password = Secret(canary);
  Fixture right(config);
  EXPECT_TRUE(right.client->ping());
  EXPECT_FALSE(right.log->contains(canary));
}

TEST(Client, SpeaksTlsOnlyWithTheServerItMeant) {
  const crypto::testing::TestCa ca;
  testing::TempDir folder;
  const auto server = ca.issue({.common_name = "redis", .ip_addresses = {"127.0.0.1"}});
  const std::string ca_file = folder.write("ca.crt", ca.cert_pem()).string();
  OwnRedis redis({"--tls-cert-file", folder.write("s.crt", server.cert_pem).string(),
                  "--tls-key-file", folder.write("s.key", server.key_pem).string(),
                  "--tls-ca-cert-file", ca_file, "--tls-auth-clients", "no"},
                 true);
  Config config = config_for("rediss://" + redis.address());
  config.command_timeout = 1s;
  config.tls_ca_file = ca_file;
  {
    Fixture right(config);
    EXPECT_TRUE(set(*right.client, "k", std::string(100'000, 'x')));
    EXPECT_EQ(get(*right.client, "k")->text().size(), 100'000U);
  }
  config.url = "rediss://" + redis.address("localhost");  // a name the certificate does not hold
  {
    Fixture wrong_name(config);
    EXPECT_FALSE(wrong_name.client->ping());
  }
  const crypto::testing::TestCa stranger("Another CA");
  config.url = "rediss://" + redis.address();
  config.tls_ca_file = folder.write("stranger.crt", stranger.cert_pem()).string();
  Fixture wrong_ca(config);
  const auto refused = wrong_ca.client->ping();
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().reason(), "outcome_unknown");  // nothing was sent to a stranger
}

TEST(Client, BelievesARenewedAuthorityAtTheNextConnection) {
  testing::TempDir folder;
  const auto renew = [&] {
    const crypto::testing::TestCa ca;
    const auto server = ca.issue({.common_name = "redis", .ip_addresses = {"127.0.0.1"}});
    folder.write("s.crt", server.cert_pem);
    folder.write("s.key", server.key_pem);
    return folder.write("ca.crt", ca.cert_pem()).string();
  };
  const std::string ca_file = renew();
  OwnRedis redis({"--tls-cert-file", (folder.path() / "s.crt").string(), "--tls-key-file",
                  (folder.path() / "s.key").string(), "--tls-ca-cert-file", ca_file,
                  "--tls-auth-clients", "no"},
                 true);
  Config config = config_for("rediss://" + redis.address());
  config.tls_ca_file = ca_file;
  Fixture fixture(config);
  ASSERT_TRUE(fixture.client->ping());
  redis.kill();
  renew();
  redis.start();
  EXPECT_TRUE(eventually([&] { return fixture.client->ping().has_value(); }));
}

TEST(Client, EndsEveryCommandWhenItIsClosed) {
  auto proxy = testing::FaultProxy::start(
      {.target = testing::require_env("SLUICE_TEST_REDIS_URL").substr(8)});
  ASSERT_TRUE(proxy);
  auto fixture = std::make_unique<Fixture>(config_for("redis://" + (*proxy)->address()));
  ASSERT_TRUE(fixture->client->ping());
  (*proxy)->freeze();
  std::atomic<int> ended = 0;
  for (int i = 0; i < 100; ++i) {
    fixture->client->send(Command::anywhere({"PING"}), [&](Result<Reply> reply) {
      EXPECT_FALSE(reply);
      ++ended;
    });
  }
  fixture.reset();
  EXPECT_EQ(ended, 100);
}

TEST(Client, DoesNotRepeatARefusedCommandAfterLaterOnes) {
  std::atomic<int> writes = 0;
  FakeRedis redis([&](const FakeRedis::Words& words) -> std::string {
    if (words.front() == "SET" && ++writes == 1) return "-LOADING Redis is loading\r\n";
    return "+OK\r\n";
  });
  Fixture fixture(config_for(redis.url()));
  const auto replies = fixture.client->call_all(
      {Command::on_key("k", {"SET", "k", "old"}), Command::on_key("k", {"SET", "k", "new"})});
  ASSERT_FALSE(replies[0]);
  EXPECT_EQ(replies[0].error().code(), ErrorCode::kUnavailable);
  EXPECT_EQ(replies[0].error().reason(), "LOADING");
  EXPECT_TRUE(replies[1]);
  EXPECT_EQ(redis.received("SET"), (std::vector<std::string>{"old", "new"}));
}

TEST(Client, WaitsForAServerThatIsStillLoadingAndKeepsTheOrder) {
  std::atomic<int> greetings = 0;
  FakeRedis redis([&](const FakeRedis::Words& words) -> std::string {
    if (words.front() == "PING" && ++greetings < 3) return "-LOADING Redis is loading\r\n";
    return "+OK\r\n";
  });
  Fixture fixture(config_for(redis.url()));
  for (const auto& reply : fixture.client->call_all({Command::on_key("k", {"SET", "k", "1"}),
                                                     Command::on_key("k", {"SET", "k", "2"}),
                                                     Command::on_key("k", {"SET", "k", "3"})})) {
    EXPECT_TRUE(reply);
  }
  EXPECT_EQ(redis.received("SET"), (std::vector<std::string>{"1", "2", "3"}));
  EXPECT_EQ(redis.connections(), 3);
}

TEST(Client, KeepsTheConnectionToAServerThatIsOnlySlow) {
  constexpr int kCommands = 40;
  FakeRedis redis([](const FakeRedis::Words& words) -> std::string {
    if (words.front() != "ECHO") return "+OK\r\n";
    std::this_thread::sleep_for(50ms);  // pause: a slow server, far within the timeout
    return std::format("+{}\r\n", words[1]);
  });
  Config config = config_for(redis.url());
  config.command_timeout = 1s;
  config.max_pending = 2 * kCommands;
  Fixture fixture(config);
  ASSERT_TRUE(fixture.client->ping());
  std::vector<Command> commands;
  for (int i = 0; i < kCommands; ++i) {
    commands.push_back(Command::anywhere({"ECHO", std::to_string(i)}));
  }
  const auto replies = fixture.client->call_all(std::move(commands));
  ASSERT_TRUE(replies.front()) << replies.front().error().message();
  EXPECT_EQ(replies.front()->text(), "0");
  ASSERT_FALSE(replies.back());
  EXPECT_EQ(replies.back().error().code(), ErrorCode::kDeadlineExceeded);
  EXPECT_EQ(replies.back().error().reason(), "outcome_unknown");
  // The answers that come late are nobody else's.
  ASSERT_TRUE(eventually([&] {
    const auto reply = fixture.client->call(Command::anywhere({"ECHO", "last"}));
    return reply && reply->text() == "last";
  }));
  EXPECT_EQ(redis.connections(), 1);
  EXPECT_TRUE(eventually([&] {
    (void)fixture.client->ping();  // the gauge is set by a thread that sleeps when there is no work
    return fixture.registry.scrape().contains("sluice_redis_pending 0\n");
  }));
}

TEST(Client, SendsNothingBeforeTheServerItselfHasAnswered) {
  auto proxy =
      testing::FaultProxy::start({.target = std::format("127.0.0.1:{}", testing::free_port())});
  ASSERT_TRUE(proxy);
  Config config = config_for("redis://" + (*proxy)->address());
  config.command_timeout = 1s;
  Fixture fixture(config);
  const auto reply = fixture.client->ping();  // the proxy accepts, and has nobody to pass it on to
  ASSERT_FALSE(reply);
  EXPECT_NE(reply.error().reason(), "outcome_unknown");
  // With full jitter from 20 ms on about eight; without any growth a hundred.
  EXPECT_LT((*proxy)->stats().refused, 40U);
}

TEST(Cluster, KeepsTheOrderOfAKeyWhileItsNodeCannotBeReached) {
  std::atomic<std::uint16_t> owner = testing::free_port();  // where nobody listens
  FakeRedis redis([&](const FakeRedis::Words& words) -> std::string {
    return words.front() == "CLUSTER" ? FakeRedis::all_slots_at(owner) : "+OK\r\n";
  });
  Fixture fixture(config_for(redis.url(), "cluster"));
  constexpr int kWrites = 2000;
  std::vector<std::string> sent;
  std::latch answered(kWrites);
  for (int i = 0; i < kWrites; ++i) {
    sent.push_back(std::format("{:04}", i));
    fixture.client->send(Command::on_key("k", {"SET", "k", sent.back()}), [&](Result<Reply> reply) {
      EXPECT_TRUE(reply) << reply.error().message();
      answered.count_down();
    });
    if (i % 100 == 0) std::this_thread::sleep_for(3ms);  // pause: some come while others wait
    if (i == kWrites / 2) owner = redis.port();
  }
  answered.wait();
  EXPECT_EQ(redis.received("SET"), sent);
}

TEST(Cluster, ForgetsNodesThatHaveLeft) {
  FakeRedis stayer([](const FakeRedis::Words&) -> std::string { return "+OK\r\n"; });
  FakeRedis leaver([&](const FakeRedis::Words& words) -> std::string {
    if (words.front() != "GET") return "+OK\r\n";
    return std::format("-MOVED {} 127.0.0.1:{}\r\n", slot_of("k"), stayer.port());
  });
  std::atomic<std::uint16_t> owner = leaver.port();
  FakeRedis seed([&](const FakeRedis::Words& words) -> std::string {
    return words.front() == "CLUSTER" ? FakeRedis::all_slots_at(owner) : "+OK\r\n";
  });
  Fixture fixture(config_for(seed.url(), "cluster"));
  ASSERT_TRUE(set(*fixture.client, "k", "v"));
  EXPECT_EQ(leaver.open_connections(), 1);
  owner = stayer.port();
  ASSERT_TRUE(get(*fixture.client, "k"));  // moved, so that the map is asked for again
  EXPECT_TRUE(eventually([&] { return leaver.open_connections() == 0; }));
  EXPECT_TRUE(get(*fixture.client, "k"));
}

TEST(Cluster, SpreadsCommandsWithoutAKeyOverTheNodes) {
  Fixture fixture(cluster_config());
  std::set<std::string> ids;
  for (int i = 0; i < 12; ++i) {
    const auto reply = fixture.client->call(Command::anywhere({"CLUSTER", "MYID"}));
    ASSERT_TRUE(reply) << reply.error().message();
    ids.insert(reply->text());
  }
  EXPECT_GT(ids.size(), 1U);
}

TEST(Cluster, ReachesKeysOnAllNodes) {
  Fixture fixture(cluster_config());
  const std::string prefix = testing::unique_name("cluster");
  std::vector<Command> writes;
  std::vector<Command> reads;
  for (int i = 0; i < 300; ++i) {
    const std::string key = std::format("{}:{}", prefix, i);
    writes.push_back(Command::on_key(key, {"SET", key, key}));
    reads.push_back(Command::on_key(key, {"GET", key}));
  }
  for (const auto& reply : fixture.client->call_all(std::move(writes))) EXPECT_TRUE(reply);
  int index = 0;
  for (const auto& reply : fixture.client->call_all(std::move(reads))) {
    ASSERT_TRUE(reply);
    EXPECT_EQ(reply->text(), std::format("{}:{}", prefix, index++));
  }
}

TEST(Cluster, KeepsOneDevicesKeysTogetherByTheirTag) {
  Fixture fixture(cluster_config());
  const std::string tag = testing::unique_name("tag");
  const std::string session = std::format("device:{{{}}}:session", tag);
  const std::string shadow = std::format("device:{{{}}}:shadow", tag);
  const auto reply =
      fixture.client->call(Command::on_key(session, {"MSET", session, "s", shadow, "d"}));
  EXPECT_TRUE(reply) << reply.error().message();
}

/// Moves a slot between two nodes as an operator would, one step at a time.
class SlotMove {
 public:
  SlotMove(Client& client, std::uint16_t slot) : slot_(std::to_string(slot)) {
    const auto nodes = client.call(Command::anywhere({"CLUSTER", "SLOTS"}));
    for (const Reply& range : nodes->items()) {
      const auto& node = range.items()[2].items();
      const std::string address = std::format("{}:{}", node[0].text(), node[1].integer());
      const bool is_source =
          range.items()[0].integer() <= slot && slot <= range.items()[1].integer();
      if (is_source) {
        source_ = address;
        source_id_ = node[2].text();
      } else {
        target_ = address;
        target_id_ = node[2].text();
      }
    }
  }

  void begin() {
    ask(target_, {"CLUSTER", "SETSLOT", slot_, "IMPORTING", source_id_});
    ask(source_, {"CLUSTER", "SETSLOT", slot_, "MIGRATING", target_id_});
  }
  void move_key(const std::string& key) {
    const std::size_t colon = target_.rfind(':');
    ask(source_,
        {"MIGRATE", target_.substr(0, colon), target_.substr(colon + 1), key, "0", "5000"});
  }
  void finish() {
    ask(target_, {"CLUSTER", "SETSLOT", slot_, "NODE", target_id_});
    ask(source_, {"CLUSTER", "SETSLOT", slot_, "NODE", target_id_});
  }

 private:
  static void ask(const std::string& address, std::vector<std::string> words) {
    Fixture direct(config_for("redis://" + address));
    const std::vector<std::string_view> views(words.begin(), words.end());
    const auto reply = direct.client->call(Command::on_key("", views));
    EXPECT_TRUE(reply) << reply.error().message();
  }

  std::string slot_, source_, source_id_, target_, target_id_;
};

TEST(Cluster, FollowsASlotThatMoves) {
  Fixture fixture(cluster_config());
  const std::string tag = testing::unique_name("moving");
  const std::string moved = std::format("{{{}}}:moved", tag);
  const std::string staying = std::format("{{{}}}:staying", tag);
  ASSERT_TRUE(set(*fixture.client, moved, "1"));
  ASSERT_TRUE(set(*fixture.client, staying, "2"));

  SlotMove move(*fixture.client, slot_of(moved));
  move.begin();
  move.move_key(moved);
  EXPECT_EQ(get(*fixture.client, moved)->text(), "1");    // by ASK
  EXPECT_EQ(get(*fixture.client, staying)->text(), "2");  // still at home
  move.move_key(staying);
  move.finish();
  EXPECT_EQ(get(*fixture.client, moved)->text(), "1");  // by MOVED
  EXPECT_EQ(get(*fixture.client, staying)->text(), "2");
  EXPECT_EQ(fixture.registry.scrape().find("sluice_redis_redirects_total 0"), std::string::npos);
}

}  // namespace
}  // namespace sluice::redis
