#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include <sluice/http/client.h>
#include <sluice/testing/child_process.h>

namespace sluice::platform {

using Environment = std::map<std::string, std::string>;

/// A service's program that is ready. Ends with the object.
class ServiceProcess {
 public:
  /// Starts what the build made of services/<name> and returns when it is ready; throws with its
  /// output when it does not get there.
  ServiceProcess(const std::string& name, Environment settings);

  const std::string& address(const std::string& listener) const { return addresses_.at(listener); }
  testing::ChildProcess& process() { return process_; }
  const testing::ChildProcess& process() const { return process_; }
  /// SIGKILL, and waits for the end.
  void kill();
  /// The sum over all label sets of a metric; 0 while there is none or nobody answers.
  double metric(std::string_view name) const;
  std::int64_t resident_kib() const;
  /// How many files and sockets it has open.
  std::size_t open_files() const;

 private:
  http::Client http_;
  testing::ChildProcess process_;
  std::map<std::string, std::string> addresses_;
};

}  // namespace sluice::platform
