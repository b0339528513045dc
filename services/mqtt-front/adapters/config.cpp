#include "config.h"

namespace sluice::front {
namespace {

using namespace std::chrono_literals;

bool is_loopback(const std::string& address) {
  return address.empty() || address.starts_with("127.") || address.starts_with("[::1]") ||
         address.starts_with("localhost:");
}

}  // namespace

void Config::declare(Settings& s) {
  kafka.declare(s);
  producer.declare(s);
  consumer.declare(s);
  redis.declare(s);
  identity.declare(s);
  grpc.declare(s);
  device_registry.declare(s, "device-registry");
  sessions.declare(s);

  s.listen_address("mqtt_listen", &mqtt_listen, "",
                   "MQTT over plain TCP, on loopback unless mqtt_allow_plaintext; empty: none.");
  s.listen_address("mqtts_listen", &mqtts_listen, "", "MQTT over TLS; empty: none.");
  s.listen_address("mqtt_psk_listen", &psk_listen, "",
                   "MQTT over TLS with pre-shared keys, for devices without certificates; empty: "
                   "none.");
  s.listen_address("ws_listen", &ws_listen, "",
                   "MQTT over WebSocket without TLS, as mqtt_listen; empty: none.");
  s.listen_address("wss_listen", &wss_listen, "", "MQTT over WebSocket with TLS; empty: none.");
  s.boolean("mqtt_allow_plaintext", &allows_plaintext, false,
            "Lets mqtt_listen and ws_listen be reached from other machines, where credentials and "
            "messages then travel in the clear: for a network that encrypts by itself.");
  s.boolean("mqtt_proxy_protocol", &expects_proxy_header, false,
            "Every connection begins with a PROXY header (version 1 or 2) from the balancer; "
            "without one it is closed. Only behind a balancer that nobody can go around.");
  s.text("mqtt_tls_cert_file", &tls_cert_file, "", {},
         "Certificate chain shown to devices, own certificate first; followed when it changes.");
  s.text("mqtt_tls_key_file", &tls_key_file, "", {}, "Its private key.");
  s.text("mqtt_client_ca_file", &client_ca_file, "", {},
         "Authorities whose device certificates are believed.");
  s.text("mqtt_client_certificates", &client_certificates, "required",
         {.required = true, .one_of = {"required", "optional", "none"}},
         "Whether devices must show a certificate over TLS; optional lets those in without one who "
         "have a token.");
  s.text(
      "mqtt_ticket_key_file", &ticket_key_file, "", {},
      "Keys of TLS session tickets, shared by all fronts so that a device resumes on any: a "
      "line each, an id and 32 bytes of base64url, oldest first; the last one seals. Empty: keys "
      "of this process alone.");
  s.text("mqtt_tenant_uri_prefix", &tenant_uri_prefix, "", {},
         "A URI in a certificate's alternative names that begins so names the tenant with its "
         "rest; without one the subject's O does.");
  s.text("ws_path", &web_socket_path, "/mqtt", {.required = true}, "Path of MQTT over WebSocket.");
  s.text_list("ws_origins", &web_socket_origins, {}, {},
              "Origins of web pages that may connect; empty: any.");
  s.text("grpc_advertise", &grpc_advertise, "", {},
         "host:port under which other fronts reach this one's grpc_listen; empty: as bound.");

  s.integer("loops", &loops, 0, {.min = 0, .max = 64},
            "Threads that serve devices; 0: one for each processor.");
  s.duration("loop_nap", &loop_nap, 1ms, {.max = 5ms},
             "Pause before looking for work while there is little: fewer wake-ups for as much "
             "latency.");
  s.duration("connect_timeout", &connect_timeout, 5s, {.min = 100ms, .max = 60s},
             "Longest time from TCP to CONNACK.");
  s.bytes("mqtt_max_packet", &max_packet, 256_KiB, {.min = 1_KiB, .max = 256_MiB},
          "Largest packet from a client.");
  s.integer("mqtt_receive_maximum", &receive_maximum, 100, {.min = 1, .max = 65'535},
            "QoS 1 and 2 messages of a client that may be unanswered at once.");
  s.integer("mqtt_send_maximum", &send_maximum, 100, {.min = 1, .max = 65'535},
            "QoS 1 and 2 messages to a client that may be unanswered at once, below what it asks "
            "for.");
  s.integer("mqtt_topic_alias_maximum", &topic_alias_maximum, 16, {.min = 0, .max = 1024},
            "Topic aliases of a client.");
  s.duration("mqtt_max_keep_alive", &max_keep_alive, 20min, {.max = 65'535s},
             "Clients of MQTT 5 that ask for more, or for none, are told this; 0: as they ask.");
  s.duration("mqtt_max_session_expiry", &max_session_expiry, 7 * 24h, {.max = 365 * 24h},
             "Longest time that a session is kept without a connection.");
  s.integer("mqtt_max_subscriptions", &max_subscriptions, 50, {.min = 1, .max = 10'000},
            "Subscriptions of one session.");
  s.integer("mqtt_max_filters", &max_filters, 8, {.min = 1, .max = 1000},
            "Filters of one SUBSCRIBE.");
  s.bytes("mqtt_max_output", &max_output, 256_KiB, {.min = 4_KiB, .max = 64_MiB},
          "Bytes that a client may be behind in reading: then QoS 0 is dropped and QoS 1 and 2 "
          "wait in its session.");

  s.integer("max_connections", &max_connections, 100'000, {.min = 1, .max = 10'000'000},
            "Connections open at once; one more is closed before anything is spent on it.");
  s.integer("connections_per_second", &connections_per_second, 1000, {.min = 0, .max = 1'000'000},
            "Connections let in a second, before TLS; 0: no limit.");
  s.integer("handshakes_at_once", &handshakes_at_once, 256, {.min = 1, .max = 1'000'000},
            "Connections between TCP and CONNACK at once.");
  s.integer("connects_per_client", &connects_per_client, 1, {.min = 0, .max = 1000},
            "Connections of one device in a second, three at once; 0: no limit.");
  s.integer(
      "flapping_disconnects", &flapping_disconnects, 15, {.min = 0, .max = 1000},
      "Connections of a device that end by its own doing in a minute, but for its DISCONNECT, "
      "after which it is kept out for five; 0: never.");
  s.integer("tenant_messages_per_second", &tenant_messages_per_second, 0,
            {.min = 0, .max = 1'000'000'000}, "Messages of one tenant here; 0: no limit.");
  s.integer("tenant_connections_per_second", &tenant_connections_per_second, 0,
            {.min = 0, .max = 1'000'000}, "Connections of one tenant here; 0: no limit.");
  s.integer("device_messages_per_second", &device_messages_per_second, 100,
            {.min = 0, .max = 1'000'000'000},
            "Messages of a device whose class names no limit; 0: no limit.");
  s.bytes("device_bytes_per_second", &device_bytes_per_second, 512_KiB, {.max = 1024_MiB},
          "The same in bytes; 0: no limit.");
  s.bytes("max_payload", &max_payload, 128_KiB, {.min = 1, .max = 256_MiB},
          "Largest payload of a device whose class names no limit.");

  s.duration("identity_stale_max", &identity_stale_max, 24h, {.max = 30 * 24h},
             "How long known devices are let in while the registry does not answer.");
  s.integer("identity_cache_size", &identity_cache_size, 200'000, {.min = 100, .max = 10'000'000},
            "Identities remembered, about 1 KiB each.");
  s.integer("drain_per_second", &drain_per_second, 1000, {.min = 1, .max = 1'000'000},
            "Clients sent elsewhere in a second while draining.");
  s.text("server_reference", &server_reference, "", {},
         "Where clients of MQTT 5 are told to go while draining.");
  s.text("region", &region, "", {.max_size = 64}, "Region written into every message.");
  s.boolean("conformance_profile", &is_conformance_profile, false,
            "For public conformance suites alone: nobody is asked who they are, every topic is "
            "free, nothing goes to Kafka. Refused unless every listener is on loopback.");
  s.rule([this]() -> std::vector<FieldFault> {
    std::vector<FieldFault> faults;
    for (const auto& [name, address] :
         {std::pair{"mqtt_listen", &mqtt_listen}, {"ws_listen", &ws_listen}}) {
      if (!allows_plaintext && !is_loopback(*address)) {
        faults.push_back({name, "is not on loopback; see mqtt_allow_plaintext"});
      }
    }
    for (const auto& [name, address] : {std::pair{"mqtt_listen", &mqtt_listen},
                                        {"ws_listen", &ws_listen},
                                        {"mqtts_listen", &mqtts_listen},
                                        {"wss_listen", &wss_listen},
                                        {"mqtt_psk_listen", &psk_listen}}) {
      if (is_conformance_profile && !is_loopback(*address)) {
        faults.push_back({name, "must be on loopback with conformance_profile"});
      }
    }
    const bool needs_certificate = !mqtts_listen.empty() || !wss_listen.empty();
    if (needs_certificate && (tls_cert_file.empty() || tls_key_file.empty())) {
      faults.push_back({"mqtt_tls_cert_file", "and mqtt_tls_key_file are needed for TLS"});
    }
    if (needs_certificate && client_certificates != "none" && client_ca_file.empty()) {
      faults.push_back({"mqtt_client_ca_file", "is needed to believe certificates"});
    }
    return faults;
  });
}

}  // namespace sluice::front
