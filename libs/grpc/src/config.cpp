#include <sluice/grpc/config.h>

#include <algorithm>
#include <string>

namespace sluice::rpc {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

}  // namespace

void ServerConfig::declare(Settings& settings) {
  settings.listen_address("grpc_listen", &listen, "127.0.0.1:9443",
                          "Where other services call this one, mutual TLS (plaintext on loopback "
                          "without tls_cert_file).");
  // Sixteen MiB is also what a channel accepts as an answer.
  settings.bytes("grpc_max_message", &max_message, 4_MiB, {.min = 1_KiB, .max = 16_MiB},
                 "Largest request or answer.");
  settings.integer("grpc_max_streams_per_connection", &max_streams_per_connection, 256,
                   {.min = 1, .max = 10'000},
                   "Calls one connection may have under way; its next ones wait at the caller.");
  settings.integer("grpc_max_in_flight", &max_in_flight, 1024, {.min = 1, .max = 100'000},
                   "Calls under way together; one more is refused with RESOURCE_EXHAUSTED.");
  settings.integer("grpc_workers", &workers, 8, {.min = 1, .max = 1024},
                   "Threads for handlers that block, such as on a database: no more than it has "
                   "connections to give.");
  settings.integer(
      "grpc_queue", &queue, 256, {.min = 1, .max = 100'000},
      "Calls that wait for such a thread; one more is refused with RESOURCE_EXHAUSTED.");
  settings.duration("grpc_default_deadline", &default_deadline, seconds(10),
                    {.min = milliseconds(10), .max = minutes(10)},
                    "Deadline of a call whose caller names none.");
  settings.duration("grpc_max_deadline", &max_deadline, seconds(60),
                    {.min = milliseconds(10), .max = minutes(10)},
                    "Longest deadline that is believed.");
  settings.duration("grpc_drain", &drain, seconds(10), {.min = milliseconds(0), .max = minutes(10)},
                    "How long calls under way may go on when the service stops.");
}

void ClientConfig::declare(Settings& settings, std::string_view service_name) {
  service = service_name;
  std::string prefix(service_name);
  std::ranges::replace(prefix, '-', '_');
  settings.text(prefix + "_address", &address, "", {.required = true},
                "host:port of " + service + "'s gRPC side; its certificate must carry the name " +
                    service + ".");
  settings.duration(prefix + "_timeout", &timeout, seconds(5),
                    {.min = milliseconds(10), .max = minutes(10)},
                    "Deadline of one call to " + service + ", all attempts together.");
  settings.integer(
      prefix + "_attempts", &max_attempts, 3, {.min = 1, .max = 10},
      "Attempts of one call to " + service + "; more than one only where repeating is harmless.");
}

}  // namespace sluice::rpc
