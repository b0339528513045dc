// What testing_connection.h declares. Named as a test so that it is built into the test program and
// not into the library.
#include "testing_connection.h"

#include <gtest/gtest.h>

namespace sluice::mqtt {

namespace {

std::string describe_publish(const Frame& frame, Version version) {
  const auto publish = decode_publish(frame, version).value();
  std::string text = std::format("PUBLISH {} q{}", publish.topic, static_cast<int>(publish.qos));
  if (publish.packet_id != 0) text += std::format(" {}", publish.packet_id);
  if (publish.dup) text += " dup";
  if (publish.retain) text += " retain";
  const auto& properties = publish.properties;
  if (properties.expiry_seconds) text += std::format(" expiry={}", *properties.expiry_seconds);
  if (properties.topic_alias) text += std::format(" alias={}", *properties.topic_alias);
  return text + std::format(" '{}'", text_of(publish.payload));
}

std::string upper(std::string_view text) {
  std::string result(text);
  for (char& c : result) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return result;
}

}  // namespace

std::string describe(const Frame& frame, Version version) {
  const std::string name = upper(to_string(frame.type));
  switch (frame.type) {
    case PacketType::kConnack: {
      const auto packet = decode_connack(frame, version).value();
      return std::format("{} {}{}", name, hex(packet.reason),
                         packet.session_present ? " present" : "");
    }
    case PacketType::kPublish:
      return describe_publish(frame, version);
    case PacketType::kPuback:
    case PacketType::kPubrec:
    case PacketType::kPubrel:
    case PacketType::kPubcomp: {
      const auto ack = decode_ack(frame, version).value();
      std::string text = std::format("{} {}", name, ack.packet_id);
      if (ack.reason != ReasonCode::kSuccess) text += " " + hex(ack.reason);
      if (!ack.reason_string.empty()) text += std::format(" '{}'", ack.reason_string);
      return text;
    }
    case PacketType::kSuback:
    case PacketType::kUnsuback: {
      const auto ack = decode_filter_ack(frame, version).value();
      std::string text = std::format("{} {}", name, ack.packet_id);
      for (const ReasonCode reason : ack.reasons) text += " " + hex(reason);
      return text;
    }
    case PacketType::kDisconnect:
      return std::format("{} {}", name, hex(decode_disconnect(frame, version).value().reason));
    default:
      return name;
  }
}

std::vector<std::string> describe(std::span<const std::byte> bytes, Version version) {
  std::vector<std::string> texts;
  while (!bytes.empty()) {
    const auto frame = next_frame(bytes, kAnySize);
    if (!frame || !*frame) {
      ADD_FAILURE() << "the output is no row of packets";
      break;
    }
    texts.push_back(describe(**frame, version));
    bytes = bytes.subspan((*frame)->size);
  }
  return texts;
}

void Server::connect(const Connect& packet) {
  Output bytes;
  encode(packet, bytes);
  give(bytes);
  out.clear();
  events.clear();
}

void Server::reconnect(const Connect& packet) {
  connection.detach();
  connection = Connection(limits);
  ids.clear();
  connect(packet);
}

void Server::give_publish(std::uint16_t packet_id, Qos qos, bool dup, std::string_view payload) {
  Output bytes;
  encode(Publish{.topic = "t",
                 .payload = bytes_of(payload),
                 .qos = qos,
                 .dup = dup,
                 .packet_id = packet_id},
         connection.version(), bytes);
  give(bytes);
}

void Server::give_ack(PacketType type, std::uint16_t packet_id, ReasonCode reason) {
  Output bytes;
  encode(Ack{.type = type, .packet_id = packet_id, .reason = reason}, connection.version(), bytes);
  give(bytes);
}

std::vector<std::string> Server::sent() {
  const auto texts = describe(out, connection.version());
  out.clear();
  return texts;
}

void Server::on_connect(const Connect& connect) {
  log(std::format("connect {}", connect.client_id));
  if (accepts) connection.accept(session, acceptance, out);
}

void Server::on_publish(const Publish& publish, PublishId id) {
  log(std::format("publish {} q{} '{}'", publish.topic, static_cast<int>(publish.qos),
                  text_of(publish.payload)));
  if (on_publish_hook) on_publish_hook(publish);
  if (id == 0) return;
  if (answers_publishes) return done_with(id);
  ids.push_back(id);
}

void Server::on_publish_released(std::uint16_t packet_id) {
  log(std::format("released {}", packet_id));
  if (answers_releases) connection.release_done(packet_id, out);
}

void Server::on_subscribe(const Subscribe& subscribe) {
  log(std::format("subscribe {}", subscribe.packet_id));
  const std::vector<ReasonCode> reasons(subscribe.filters.count(), ReasonCode::kGrantedQos1);
  if (answers_filters) {
    connection.filters_done(PacketType::kSuback, subscribe.packet_id, reasons, out);
  }
}

void Server::on_unsubscribe(const Unsubscribe& unsubscribe) {
  log(std::format("unsubscribe {}", unsubscribe.packet_id));
  const std::vector<ReasonCode> reasons(unsubscribe.filters.count(), ReasonCode::kSuccess);
  if (answers_filters) {
    connection.filters_done(PacketType::kUnsuback, unsubscribe.packet_id, reasons, out);
  }
}

void Server::on_close(const Close& close) {
  log(std::format("close {}{}{}", hex(close.reason), close.by_client ? " by client" : "",
                  close.publishes_will ? "" : " without will"));
}

void Server::on_outbound_changed(const Delivery& delivery) {
  log(std::format("changed {} id {} {}", delivery.sequence, delivery.packet_id,
                  delivery.state == Delivery::State::kSent ? "sent" : "released"));
}

void Server::on_outbound_done(const Delivery& delivery, End end) {
  constexpr const char* kNames[] = {"acknowledged", "refused", "expired", "too large"};
  log(std::format("done {} {}", delivery.sequence, kNames[static_cast<int>(end)]));
  done.push_back(delivery);
}

}  // namespace sluice::mqtt
