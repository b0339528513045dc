// Paho for C against one listener; the argument says which. Prints a JSON object for each case.
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <format>
#include <functional>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>

#include <MQTTClient.h>
#include <nlohmann/json.hpp>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

namespace {

using Json = nlohmann::json;

constexpr unsigned long kDeadlineMs = 10'000;

void check(int status, const char* what) {
  if (status == MQTTCLIENT_SUCCESS) return;
  const char* text = MQTTClient_strerror(status);
  throw std::runtime_error(std::format("{}: {} {}", what, status, text == nullptr ? "" : text));
}

/// Of a call that answers with a reason code in MQTT 5.
void check(const MQTTResponse& response, const char* what) {
  const int reason = response.reasonCode;
  MQTTResponse_free(response);
  // What was granted is no failure; what is negative is the library's own error.
  if (reason < 0 || reason >= 0x80)
    throw std::runtime_error(std::format("{}: {:#x}", what, reason));
}

struct Message {
  std::string payload;
  int qos = 0;
  bool is_retained = false;
  bool operator==(const Message&) const = default;
};

/// One connection, by the library's blocking interface.
class Client {
 public:
  Client(const Json& setup, int version, const std::string& id, const std::string& will_topic = {})
      : is_v5_(version == MQTTVERSION_5) {
    const std::string scheme = setup.at("scheme");
    const bool is_web_socket = scheme.starts_with("ws");
    const std::string uri = std::format("{}://localhost:{}{}", kSchemes.at(scheme),
                                        setup.at("port").get<int>(), is_web_socket ? "/mqtt" : "");
    MQTTClient_createOptions create = MQTTClient_createOptions_initializer;
    create.MQTTVersion = version;
    check(MQTTClient_createWithOptions(&client_, uri.c_str(), id.c_str(),
                                       MQTTCLIENT_PERSISTENCE_NONE, nullptr, &create),
          "create");
    MQTTClient_connectOptions options = MQTTClient_connectOptions_initializer;
    MQTTClient_connectOptions options5 = MQTTClient_connectOptions_initializer5;
    MQTTClient_connectOptions& chosen = is_v5_ ? options5 : options;
    chosen.MQTTVersion = version;
    (is_v5_ ? chosen.cleanstart : chosen.cleansession) = 1;
    chosen.connectTimeout = static_cast<int>(kDeadlineMs / 1000);
    MQTTClient_SSLOptions tls = MQTTClient_SSLOptions_initializer;
    const std::string ca = setup.value("ca", "");
    const std::string certificate = setup.value("cert", "");
    const std::string key = setup.value("key", "");
    if (!ca.empty()) {
      tls.trustStore = ca.c_str();
      tls.verify = 1;
      chosen.ssl = &tls;
    }
    if (!certificate.empty()) {
      tls.keyStore = certificate.c_str();
      tls.privateKey = key.c_str();
    }
    MQTTClient_willOptions will = MQTTClient_willOptions_initializer;
    if (!will_topic.empty()) {
      will.topicName = will_topic.c_str();
      will.message = "gone";
      will.qos = 1;
      chosen.will = &will;
    }
    if (is_v5_) {
      check(MQTTClient_connect5(client_, &chosen, nullptr, nullptr), "connect");
    } else {
      check(MQTTClient_connect(client_, &chosen), "connect");
    }
  }

  ~Client() {
    MQTTClient_disconnect(client_, 1000);
    MQTTClient_destroy(&client_);
  }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  void subscribe(const std::string& topic) {
    constexpr int kQos = 2;
    if (is_v5_) {
      check(MQTTClient_subscribe5(client_, topic.c_str(), kQos, nullptr, nullptr), "subscribe");
    } else {
      check(MQTTClient_subscribe(client_, topic.c_str(), kQos), "subscribe");
    }
  }

  /// Returns once it is acknowledged for good.
  void publish(const std::string& topic, std::string payload, int qos, bool retain = false) {
    MQTTClient_message message = MQTTClient_message_initializer;
    message.payload = payload.data();
    message.payloadlen = static_cast<int>(payload.size());
    message.qos = qos;
    message.retained = retain ? 1 : 0;
    MQTTClient_deliveryToken token = 0;
    if (is_v5_) {
      check(MQTTClient_publishMessage5(client_, topic.c_str(), &message, &token), "publish");
    } else {
      check(MQTTClient_publishMessage(client_, topic.c_str(), &message, &token), "publish");
    }
    check(MQTTClient_waitForCompletion(client_, token, kDeadlineMs), "acknowledgement");
  }

  Message receive() {
    char* topic = nullptr;
    int topic_size = 0;
    MQTTClient_message* message = nullptr;
    const int status = MQTTClient_receive(client_, &topic, &topic_size, &message, kDeadlineMs);
    if (message == nullptr) throw std::runtime_error(std::format("no message came: {}", status));
    Message received{.payload = {static_cast<const char*>(message->payload),
                                 static_cast<std::size_t>(message->payloadlen)},
                     .qos = message->qos,
                     .is_retained = message->retained != 0};
    MQTTClient_freeMessage(&message);
    MQTTClient_free(topic);
    return received;
  }

 private:
  inline static const std::map<std::string, std::string> kSchemes{
      {"mqtt", "tcp"}, {"mqtts", "ssl"}, {"ws", "ws"}, {"wss", "wss"}};

  MQTTClient client_ = nullptr;
  const bool is_v5_;
};

/// What is wrong; empty: nothing.
std::string compare(const Message& got, const Message& expected) {
  if (got == expected) return {};
  return std::format("got {} {} {}", got.payload, got.qos, got.is_retained);
}

std::string try_qos(const Json& setup, int version, const std::string& base, int qos) {
  Client client(setup, version, std::format("{}-{}", base, qos));
  const std::string topic = std::format("{}/{}", base, qos);
  client.subscribe(topic);
  client.publish(topic, "hello", qos);
  return compare(client.receive(), {.payload = "hello", .qos = qos});
}

std::string try_retained(const Json& setup, int version, const std::string& base) {
  Client(setup, version, base + "-retainer").publish(base + "/kept", "kept", 1, true);
  Client subscriber(setup, version, base + "-late");
  subscriber.subscribe(base + "/kept");
  return compare(subscriber.receive(), {.payload = "kept", .qos = 1, .is_retained = true});
}

/// Has a process of its own connect with a will and die: the library itself never leaves without a
/// DISCONNECT.
void die_elsewhere(const char* program, const Json& setup, int version, const std::string& base) {
  Json last = setup;
  last["dying"] = {{"version", version}, {"base", base}};
  std::string argument = last.dump();
  std::string name = program;
  char* const arguments[] = {name.data(), argument.data(), nullptr};
  pid_t child = 0;
  if (posix_spawn(&child, program, nullptr, nullptr, arguments, environ) != 0) {
    throw std::runtime_error("the dying client cannot be started");
  }
  int status = 0;
  if (waitpid(child, &status, 0) != child || status != 0) {
    throw std::runtime_error("the dying client could not connect");
  }
}

[[noreturn]] void die(const Json& setup) {
  const Json& dying = setup.at("dying");
  const std::string base = dying.at("base");
  const Client client(setup, dying.at("version"), base + "-dying", base + "/will");
  _exit(0);
}

std::string try_will(const char* program, const Json& setup, int version, const std::string& base) {
  Client subscriber(setup, version, base + "-mourner");
  subscriber.subscribe(base + "/will");
  die_elsewhere(program, setup, version, base);
  return compare(subscriber.receive(), {.payload = "gone", .qos = 1});
}

void report(const std::string& name, const std::function<std::string()>& attempt) {
  std::string fault;
  try {
    fault = attempt();
  } catch (const std::exception& error) {  // a failed case, and the next is still tried
    fault = error.what();
  }
  const Json line{{"case", name}, {"fault", fault.empty() ? Json() : Json(fault)}};
  std::puts(line.dump().c_str());
  std::fflush(stdout);
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 2) {
    std::fputs("usage: sluice-paho-c SETUP, a JSON object\n", stderr);
    return 2;
  }
  MQTTClient_init_options init = MQTTClient_init_options_initializer;
  init.do_openssl_init = 1;
  MQTTClient_global_init(&init);
  try {
    const Json setup = Json::parse(arguments[1]);
    if (setup.contains("dying")) die(setup);
    for (const auto& [version, said] :
         {std::pair(MQTTVERSION_3_1, "MQTT 3.1"), std::pair(MQTTVERSION_3_1_1, "MQTT 3.1.1"),
          std::pair(MQTTVERSION_5, "MQTT 5")}) {
      const std::string base = std::format("paho-c-{}-{}-{}", setup.at("port").get<int>(),
                                           setup.at("scheme").get<std::string>(), version);
      for (int qos = 0; qos <= 2; ++qos) {
        report(std::format("{}: QoS {}", said, qos),
               [&] { return try_qos(setup, version, base, qos); });
      }
      report(std::format("{}: retained", said), [&] { return try_retained(setup, version, base); });
      report(std::format("{}: will", said),
             [&] { return try_will(arguments[0], setup, version, base); });
    }
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  return 0;
}
