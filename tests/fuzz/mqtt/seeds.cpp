// Writes what the MQTT targets begin with: a valid packet of every type and version, made by our
// own encoder, and short scripts for the indexes. Usage: fuzz_mqtt_seeds FOLDER, which then has a
// folder for each target.

#include "../fuzz.h"

#include <filesystem>
#include <format>
#include <fstream>
#include <string>
#include <vector>

#include <sluice/mqtt/decoder.h>
#include <sluice/mqtt/encoder.h>
#include <sluice/mqtt/topic.h>

namespace sluice::mqtt {
namespace {

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text));
}

Connect connect(Version version, const UserPropertyList& user) {
  Connect packet{.version = version,
                 .clean_start = false,
                 .keep_alive_seconds = 60,
                 .client_id = "device-1",
                 .user_name = "tenant",
                 .password = bytes_of("secret"),
                 .session_expiry_seconds = 3600,
                 .receive_maximum = 10,
                 .maximum_packet_size = 1000,
                 .topic_alias_maximum = 4,
                 .request_response_information = true,
                 .request_problem_information = false,
                 .authentication_method = "SCRAM-SHA-256",
                 .authentication_data = bytes_of("n,,n=u"),
                 .user = user.view()};
  packet.will = Will{.topic = "gone/device-1",
                     .payload = bytes_of("bye"),
                     .qos = Qos::kExactlyOnce,
                     .retain = true,
                     .properties = {.payload_format = 1,
                                    .expiry_seconds = 60,
                                    .delay_seconds = 5,
                                    .content_type = "text/plain",
                                    .response_topic = "answers",
                                    .correlation_data = bytes_of("7"),
                                    .user = user.view()}};
  return packet;
}

Connack connack() {
  return {.reason = ReasonCode::kSuccess,
          .session_expiry_seconds = 60,
          .receive_maximum = 32,
          .maximum_qos = Qos::kAtLeastOnce,
          .retain_available = false,
          .maximum_packet_size = 131'072,
          .assigned_client_id = "made-up",
          .topic_alias_maximum = 16,
          .reason_string = "welcome",
          .wildcard_subscriptions = true,
          .subscription_identifiers = true,
          .shared_subscriptions = false,
          .server_keep_alive_seconds = 300,
          .response_information = "answers/",
          .server_reference = "other:8883"};
}

Publish publish(Qos qos, std::span<const std::uint32_t> ids, const UserPropertyList& user) {
  const bool has_id = qos != Qos::kAtMostOnce;
  return {.topic = "site/7/device/\xC3\xBC",
          .payload = bytes_of("{\"t\":21.5}"),
          .qos = qos,
          .dup = has_id,
          .retain = true,
          .packet_id = has_id ? std::uint16_t{513} : std::uint16_t{0},
          .properties = {.payload_format = 1,
                         .expiry_seconds = 60,
                         .topic_alias = 3,
                         .content_type = "application/json",
                         .response_topic = "answers",
                         .correlation_data = bytes_of("c"),
                         .subscription_ids = ids,
                         .user = user.view()}};
}

std::vector<Output> packets(Version version) {
  UserPropertyList user;
  user.add("name", "value");
  user.add("name", "");
  const std::vector<std::uint32_t> ids{1, 300, kMaxRemainingLength};
  FilterListBuilder filters(true, version);
  filters.add({.filter = "site/+/device/#", .qos = Qos::kExactlyOnce, .no_local = true});
  filters.add({.filter = "$share/g/a", .retain_handling = RetainHandling::kDoNotSend});
  FilterListBuilder names(false, version);
  names.add({.filter = "site/+/device/#"});
  const std::vector<ReasonCode> reasons{ReasonCode::kGrantedQos1, ReasonCode::kNotAuthorized};

  std::vector<Output> all;
  const auto add = [&](const auto& packet) { encode(packet, version, all.emplace_back()); };
  encode(connect(version, user), all.emplace_back());
  encode(Connect{.version = version, .client_id = "d"}, all.emplace_back());
  add(connack());
  for (const Qos qos : {Qos::kAtMostOnce, Qos::kAtLeastOnce, Qos::kExactlyOnce}) {
    add(publish(qos, ids, user));
  }
  add(Publish{.topic = "t", .payload = bytes_of("p")});
  for (const auto type :
       {PacketType::kPuback, PacketType::kPubrec, PacketType::kPubrel, PacketType::kPubcomp}) {
    add(Ack{.type = type, .packet_id = 1});
    add(Ack{
        .type = type, .packet_id = 2, .reason = ReasonCode::kQuotaExceeded, .reason_string = "q"});
  }
  add(Subscribe{
      .packet_id = 9, .subscription_id = 300, .user = user.view(), .filters = filters.view()});
  add(Unsubscribe{.packet_id = 9, .user = user.view(), .filters = names.view()});
  for (const auto type : {PacketType::kSuback, PacketType::kUnsuback}) {
    add(FilterAck{.type = type, .packet_id = 9, .reasons = reasons, .reason_string = "no"});
  }
  add(Disconnect{.reason = ReasonCode::kServerMoved,
                 .session_expiry_seconds = 0,
                 .reason_string = "r",
                 .server_reference = "b"});
  add(Disconnect{});
  encode_pingreq(all.emplace_back());
  encode_pingresp(all.emplace_back());
  return all;
}

class Folder {
 public:
  explicit Folder(const std::filesystem::path& path) : path_(path) {
    std::filesystem::create_directories(path_);
  }
  void add(std::string_view content) {
    std::ofstream file(path_ / std::format("{:04}", ++count_), std::ios::binary);
    file.write(content.data(), static_cast<std::streamsize>(content.size()));
    SLUICE_CHECK(file.good());
  }

 private:
  std::filesystem::path path_;
  int count_ = 0;
};

void write_packets(const std::filesystem::path& root) {
  Folder decode(root / "decode");
  Folder round_trip(root / "round_trip");
  const auto add = [&](const Output& packet) {
    const std::string_view text(reinterpret_cast<const char*>(packet.data()), packet.size());
    decode.add(text);
    round_trip.add(text);
  };
  for (const Version version : {Version::kV31, Version::kV311, Version::kV5}) {
    Output conversation;
    for (const Output& packet : packets(version)) {
      add(packet);
      conversation.insert(conversation.end(), packet.begin(), packet.end());
    }
    add(conversation);
  }
  // There is no encoder for AUTH: method "m", data "d".
  decode.add(
      std::string_view("\xF0\x0A\x18\x08\x15\x00\x01m\x16\x00\x01"
                       "d",
                       12));
}

void write_topics(const std::filesystem::path& root) {
  Folder folder(root / "topic");
  for (const char* filter : {"a/b/c", "a/+/c", "a/#", "#", "+", "/+/", "$SYS/#", "$share/g/a/+"}) {
    for (const char* topic : {"a/b/c", "a", "/", "a//c", "$SYS/x"}) {
      folder.add(std::format("{}\n{}", filter, topic));
    }
  }
  const std::string deepest(kMaxTopicLevels - 1, '/');
  folder.add(deepest + "\n" + deepest);
}

/// Any bytes are a script of the indexes: a few that do a bit of everything.
void write_scripts(const std::filesystem::path& root) {
  for (const char* target : {"subscription_index", "retained_index"}) {
    Folder folder(root / target);
    for (unsigned stride = 1; stride < 256; stride += 40) {
      std::string script;
      for (unsigned at = 0; at < 120; ++at) script += static_cast<char>(at * stride % 256);
      folder.add(script);
    }
  }
}

}  // namespace
}  // namespace sluice::mqtt

int main(int count, char** words) {
  SLUICE_CHECK(count == 2);
  const std::filesystem::path root = words[1];
  sluice::mqtt::write_packets(root);
  sluice::mqtt::write_topics(root);
  sluice::mqtt::write_scripts(root);
}
