#include <sluice/redis/config.h>

#include "target.h"

namespace sluice::redis {

using std::chrono::milliseconds;

void Config::declare(Settings& settings) {
  settings.text(
      "redis_url", &url, "redis://127.0.0.1:6379", {.required = true},
      "redis://[user@]host:port[,host:port...], rediss:// for TLS; some nodes of a Cluster do.");
  settings.text("redis_mode", &mode, "single", {.required = true, .one_of = {"single", "cluster"}},
                "Whether redis_url names one server or nodes of a Redis Cluster.");
  settings.secret_file("redis_password_file", &password, false, "File with the password.");
  settings.text("redis_tls_ca_file", &tls_ca_file, "", {},
                "Certificate authorities to believe, PEM; empty for the system's.");
  settings.text("redis_tls_cert_file", &tls_cert_file, "", {}, "Own certificate, PEM.");
  settings.text("redis_tls_key_file", &tls_key_file, "", {}, "Key of the own certificate, PEM.");
  settings.duration("redis_command_timeout", &command_timeout, milliseconds(1000),
                    {.min = milliseconds(10), .max = milliseconds(60'000)},
                    "Longest time a command may take, waiting for a connection included.");
  settings.duration(
      "redis_gather", &gather, milliseconds(1), {.max = milliseconds(20)},
      "Pause while commands keep coming, so that many share a write and their answers "
      "a read. 0s: none.");
  settings.integer("redis_max_pending", &max_pending, 100'000, {.min = 1, .max = 10'000'000},
                   "Commands waiting for an answer at once; beyond it new ones are refused.");
  settings.rule([this] {
    std::vector<FieldFault> faults;
    if (tls_cert_file.empty() != tls_key_file.empty()) {
      faults.push_back(
          {"redis_tls_cert_file", "goes with redis_tls_key_file: set both or neither"});
    }
    if (auto target = Target::parse(url); !target) {
      faults.push_back({"redis_url", target.error().message()});
    } else if (mode == "single" && target->nodes.size() > 1) {
      faults.push_back({"redis_url", "names several servers, but redis_mode is single"});
    }
    return faults;
  });
}

}  // namespace sluice::redis
