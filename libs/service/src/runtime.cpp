#include <sluice/service/runtime.h>

#include "core.h"

#include <cstdlib>

#include <cxxabi.h>

namespace sluice::service {
namespace {

/// The type as it is written in the source, for log lines.
std::string readable_name(const std::type_info& type) {
  int status = 0;
  const std::unique_ptr<char, decltype(&std::free)> name(
      abi::__cxa_demangle(type.name(), nullptr, nullptr, &status), &std::free);
  return status == 0 ? name.get() : type.name();
}

}  // namespace

const std::string& Runtime::name() const { return core_.name; }
const Clock& Runtime::clock() const { return core_.clock; }
Random& Runtime::random() const { return core_.random; }
const Logger& Runtime::log() const { return core_.log; }
Registry& Runtime::registry() const { return core_.registry; }

void Runtime::on_drain(std::function<void()> hook) { core_.on_drain(std::move(hook)); }

void Runtime::add_ops_page(OpsPage page) { core_.add_page(std::move(page)); }

void Runtime::set_address(std::string_view listener, std::string_view address) {
  core_.set_address(listener, address);
}

Result<> Runtime::wait() { return core_.wait(); }
void Runtime::stop() const { core_.ask_stop(); }
void Runtime::fail(Error error) const { core_.fail(std::move(error)); }
bool Runtime::is_stopping() const { return core_.is_stopping(); }

void Runtime::add_component(const std::type_info& type, std::function<void()> stop) {
  core_.add_component(readable_name(type), std::move(stop));
}

void Runtime::add_check(std::string check_name, std::function<Result<>()> check) {
  core_.add_check(std::move(check_name), std::move(check));
}

}  // namespace sluice::service
