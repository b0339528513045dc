#include "core/broker.h"
#include "core/client.h"
#include "core/device_records.h"
#include "core/topic_route.h"

#include <algorithm>
#include <format>
#include <utility>

#include <sluice/mqtt/topic.h>

namespace sluice::front {
namespace {

using mqtt::ReasonCode;

// What a client id may consist of; see ids.h. One that is a pattern somewhere else would be a way
// into it.
bool is_plain_id(std::string_view id) {
  return std::ranges::all_of(id, [](unsigned char c) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_' ||
           c == '.' || c == ':' || c == '-';
  });
}

std::string_view protocol_name(mqtt::Version version) {
  switch (version) {
    case mqtt::Version::kV31:
      return "mqtt/3.1";
    case mqtt::Version::kV311:
      return "mqtt/3.1.1";
    case mqtt::Version::kV5:
      break;
  }
  return "mqtt/5";
}

ReasonCode reason_of(const Error& error) {
  switch (error.code()) {
    case ErrorCode::kResourceExhausted:
      return ReasonCode::kQuotaExceeded;
    case ErrorCode::kUnauthenticated:
    case ErrorCode::kPermissionDenied:
      return ReasonCode::kNotAuthorized;
    case ErrorCode::kInvalidArgument:
      return ReasonCode::kClientIdentifierNotValid;
    default:
      return ReasonCode::kServerUnavailable;
  }
}

std::string text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace

void Client::refuse(ReasonCode reason, std::string_view why) {
  if (has_ended_) return;
  broker_.ports_.observer.on_refused(*peer_, arrival_ ? arrival_->client_id : std::string_view(),
                                     reason, why);
  connection_.refuse(reason, why, broker_.server_reference_, output_);
  if (link_ != nullptr) link_->close_soon();
  end(why, false, Flaps::kNo);  // of no connection: what it tried is connects_per_client's
}

void Client::on_connect(const mqtt::Connect& connect) {
  const Options& options = broker_.options_;
  arrival_ = std::make_unique<Arrival>();
  arrival_->client_id = connect.client_id;
  arrival_->clean_start = connect.clean_start;
  arrival_->version = connect.version;
  if (broker_.is_draining_) return refuse(ReasonCode::kUseAnotherServer, "draining");
  if (connect.client_id.size() > options.max_client_id_size) {
    return refuse(ReasonCode::kClientIdentifierNotValid,
                  std::format("client id of more than {} bytes", options.max_client_id_size));
  }
  if (connect.client_id.empty() && connect.version != mqtt::Version::kV5 && !connect.clean_start) {
    return refuse(ReasonCode::kClientIdentifierNotValid, "client id is empty");  // [MQTT-3.1.3-8]
  }
  const std::uint32_t asked = connect.version == mqtt::Version::kV5
                                  ? connect.session_expiry_seconds
                                  : (connect.clean_start ? 0 : kSessionForever);
  arrival_->expiry_seconds = std::min(asked, options.max_session_expiry_seconds);
  arrival_->lowers_expiry = arrival_->expiry_seconds != asked;
  arrival_->keep_alive_seconds = connect.keep_alive_seconds;
  if (connect.will) {
    arrival_->will.emplace(
        mqtt::to_message(*connect.will, 0, broker_.ports_.clock.mono()),
        std::chrono::seconds(connect.will->properties.delay_seconds.value_or(0)));
    arrival_->will->message.expires_at.reset();
    if (const auto lifetime = connect.will->properties.expiry_seconds) {
      arrival_->will->lifetime.emplace(*lifetime);
    }
  }
  ask_who(connect);
}

void Client::ask_who(const mqtt::Connect& connect) {
  if (broker_.options_.is_conformance_profile) {
    if (arrival_->client_id.empty()) {
      arrival_->client_id = broker_.make_client_id();
      arrival_->has_assigned_id = true;
    }
    return on_identity(Authenticator::Verdict{.identity = broker_.anybody_});
  }
  if (!is_plain_id(connect.client_id)) {
    return refuse(ReasonCode::kClientIdentifierNotValid,
                  "client id has characters beyond A-Z a-z 0-9 _ . : -");
  }
  device::v1::AuthenticateRequest question;
  question.set_claimed_device(arrival_->client_id);
  question.set_address(peer_->address);
  if (peer_->certificate) {
    *question.mutable_certificate() = *peer_->certificate;
  } else if (!peer_->psk_identity.empty()) {
    question.set_psk_identity(peer_->psk_identity);
  } else if (connect.password) {
    std::string password = text_of(*connect.password);
    // A JSON Web Token has two dots; our own tokens have none.
    if (std::ranges::count(password, '.') == 2) {
      question.set_jwt(std::move(password));
    } else {
      question.set_token(std::move(password));
    }
  } else {
    return refuse(ReasonCode::kNotAuthorized, "no_credential");
  }
  ++in_flight_;
  broker_.ports_.authenticator.authenticate(std::move(question),
                                            [this](Result<Authenticator::Verdict> verdict) {
                                              --in_flight_;
                                              if (!has_ended_) on_identity(std::move(verdict));
                                              broker_.settle(*this);
                                            });
}

void Client::on_identity(Result<Authenticator::Verdict> verdict) {
  if (!verdict) return refuse(reason_of(verdict.error()), "registry_unavailable");
  if (!verdict->identity) return refuse(ReasonCode::kNotAuthorized, verdict->refusal);
  identity_ = std::move(verdict->identity);
  arrival_->proven_at = verdict->position;
  const bool is_profile = broker_.options_.is_conformance_profile;
  if (!is_profile && arrival_->client_id.empty()) {
    arrival_->client_id = identity_->device.value();
    arrival_->has_assigned_id = true;
  }
  key_ = is_profile ? SessionKey("/" + arrival_->client_id) : identity_->session;
  if (!is_profile && !identity_->may_use_client_id(arrival_->client_id)) {
    return refuse(ReasonCode::kClientIdentifierNotValid,
                  "client id is neither the device's id nor its external id");
  }
  if (arrival_->will && !is_profile) {
    const mqtt::Message& will = arrival_->will->message;
    const auto allowed = identity_->policy.may_publish(will.topic, will.qos, will.retain);
    if (!allowed.is_allowed()) {
      return refuse(ReasonCode::kNotAuthorized, "will_" + std::string(allowed.reason));
    }
    arrival_->will->origin = origin_of_will(will.topic);
  }
  if (!is_profile) {
    tenant_ = broker_.tenant_limits_.meter_of(identity_->tenant);
    const auto admitted =
        broker_.ports_.admission.admit_client(key_, *tenant_, broker_.ports_.clock.mono());
    if (!admitted.is_admitted) return refuse(admitted.reason, admitted.limit.describe());
  }
  const std::size_t loop = loop_of(key_, broker_.ports_.loops);
  if (loop == broker_.ports_.loop) return broker_.claim(*this);
  if (link_ != nullptr) link_->move_soon(loop);
}

std::optional<WillOrigin> Client::origin_of_will(std::string_view topic) const {
  const ingest::TopicInfo info = broker_.topics_.classify(identity_->names(), topic);
  if (!info.is_own || !goes_to_kafka(info.kind)) return std::nullopt;
  return WillOrigin{.external_id = identity_->external_id,
                    .fleet = identity_->fleet,
                    .device_class = identity_->device_class.value(),
                    .schema_id = identity_->schema_id};
}

void Client::restore_routes() {
  SessionStore& store = broker_.ports_.store;
  routes_ = &broker_.ports_.routes.of(tenant_of(key_));
  for (StoredSubscription& subscription : subscriptions_) {
    // Asked again, for what was written down before the store kept it.
    subscription.is_wide = subscription.is_wide || reaches_beyond_own(subscription);
  }
  // What an earlier session of this name left behind: it may have ended while nobody looked.
  for (const std::string& left : routes_->replace(key_, subscriptions_)) {
    const auto shared = mqtt::parse_shared(left, broker_.options_.connection.topics);
    const std::string_view filter = shared ? shared->filter : left;
    const std::string_view group = shared ? shared->group : std::string_view();
    if (store.is_durable()) store.remove_wide(key_, filter, group, [](Result<>) {});
  }
}

void Client::on_session(SessionStore::Claim claim) {
  const Options& options = broker_.options_;
  Arrival& arrival = *arrival_;
  epoch_ = claim.epoch;
  expiry_seconds_ = arrival.expiry_seconds;
  is_in_store_ = broker_.ports_.store.is_durable() && expiry_seconds_ > 0;
  if (arrival.will) will_ = std::make_unique<StoredWill>(*std::move(arrival.will));
  subscriptions_ = std::move(claim.session.subscriptions);
  session_.set_next_sequence(claim.session.next_sequence);
  for (mqtt::Delivery& delivery : claim.session.deliveries) {
    if (may_receive(delivery)) {
      session_.restore(std::move(delivery));
    } else if (mqtt::may_be_given_on(delivery)) {
      broker_.give_on_forbidden(*this, delivery);
    } else {
      on_outbound_done(delivery, End::kRefusedByClient);  // by its rights, which are others by now
    }
  }
  for (const std::uint16_t id : claim.session.inbound_qos2) session_.restore_inbound(id);
  if (!options.is_conformance_profile) {
    tenant_ = broker_.tenant_limits_.meter_of(identity_->tenant);
  }
  restore_routes();

  mqtt::Connection::Acceptance acceptance{.session_present = claim.session_present};
  mqtt::Connack& connack = acceptance.connack;
  if (arrival.has_assigned_id) connack.assigned_client_id = arrival.client_id;
  if (arrival.lowers_expiry) connack.session_expiry_seconds = arrival.expiry_seconds;
  const std::uint16_t most = options.max_keep_alive_seconds;
  if (most != 0 && (arrival.keep_alive_seconds == 0 || arrival.keep_alive_seconds > most) &&
      arrival.version == mqtt::Version::kV5) {
    connack.server_keep_alive_seconds = most;
  }
  if (!connection_.accept(session_, acceptance, output_)) {
    broker_.ports_.observer.on_refused(*peer_, arrival.client_id, ReasonCode::kPacketTooLarge,
                                       "the client takes no packet as large as the CONNACK");
    will_.reset();
    routes_->set_online(key_, false);
    if (link_ != nullptr) link_->close_soon();
    end("packet_too_large", false, Flaps::kYes);
    return broker_.release_session(*this);
  }
  is_accepted_ = true;
  broker_.ports_.metrics.accepted.add();
  broker_.ports_.metrics.connections.add(1);
  broker_.ports_.observer.on_opened(*this, epoch_.value(), protocol_name(arrival.version));
  arrival_.reset();
  peer_.reset();
  flush();
  // What came while the session was between two connections.
  std::vector<Waiting> parcels;
  if (rare_) parcels = std::exchange(rare_->parcels, {});
  for (Waiting& waiting : parcels) {
    broker_.deliver_waiting(key_, std::move(waiting));
  }
  if (link_ == nullptr) return;
  link_->send_soon();
  link_->read_again();
}

}  // namespace sluice::front
