#include <sluice/testing/fault_proxy.h>

#include "proxy_loop.h"

#include <utility>

#include <netinet/in.h>
#include <sys/eventfd.h>

namespace sluice::testing {
namespace {

bool covers(Direction chosen, Direction one) { return chosen == one || chosen == Direction::kBoth; }

}  // namespace

class FaultProxy::Impl {
 public:
  explicit Impl(std::unique_ptr<ProxyLoop> loop) : loop_(std::move(loop)) { loop_->start(); }
  ~Impl() { loop_->stop(); }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  ProxyLoop& loop() const { return *loop_; }

  /// Changes the faults of one direction or both.
  void change(Direction direction, const std::function<void(LinkFaults&)>& change) {
    loop_->perform([&] {
      for (const Direction one : {Direction::kUp, Direction::kDown}) {
        if (covers(direction, one)) change(loop_->state(one).faults);
      }
    });
  }

 private:
  std::unique_ptr<ProxyLoop> loop_;
};

Result<std::unique_ptr<FaultProxy>> FaultProxy::start(Options options) {
  SLUICE_TRY_ASSIGN(const SocketAddress target, parse_address(options.target));
  SLUICE_TRY_ASSIGN(const SocketAddress listen, parse_address(options.listen));
  const bool is_tcp = options.protocol == Protocol::kTcp;
  SLUICE_TRY_ASSIGN(Fd listener, listen_on(listen, is_tcp ? SOCK_STREAM : SOCK_DGRAM));
  Fd wake(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (wake.get() < 0) return fail(ErrorCode::kResourceExhausted, "no file descriptor is left");
  auto loop = is_tcp ? make_tcp_loop(options, target, std::move(listener), std::move(wake))
                     : make_udp_loop(options, target, std::move(listener), std::move(wake));
  return std::unique_ptr<FaultProxy>(new FaultProxy(std::make_unique<Impl>(std::move(loop))));
}

FaultProxy::FaultProxy(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
FaultProxy::~FaultProxy() = default;

std::string FaultProxy::address() const { return to_text(impl_->loop().address); }

std::uint16_t FaultProxy::port() const {
  const std::string text = address();
  return static_cast<std::uint16_t>(std::stoi(text.substr(text.rfind(':') + 1)));
}

void FaultProxy::set_faults(Direction direction, const LinkFaults& faults) {
  impl_->change(direction, [&](LinkFaults& present) { present = faults; });
}

LinkFaults FaultProxy::faults(Direction direction) const {
  LinkFaults faults;
  ProxyLoop& loop = impl_->loop();
  loop.perform([&] { faults = loop.state(direction).faults; });
  return faults;
}

void FaultProxy::freeze(Direction direction) {
  impl_->change(direction, [](LinkFaults& faults) { faults.frozen = true; });
}

void FaultProxy::thaw(Direction direction) {
  impl_->change(direction, [](LinkFaults& faults) { faults.frozen = false; });
}

void FaultProxy::heal() {
  impl_->change(Direction::kBoth, [](LinkFaults& faults) { faults = {}; });
  refuse_connections(false);
}

void FaultProxy::reset() {
  ProxyLoop& loop = impl_->loop();
  loop.perform([&] { loop.reset_all(); });
}

void FaultProxy::half_close(Direction direction) {
  ProxyLoop& loop = impl_->loop();
  loop.perform([&] {
    for (const Direction one : {Direction::kUp, Direction::kDown}) {
      if (covers(direction, one)) loop.half_close_all(one);
    }
  });
}

void FaultProxy::refuse_connections(bool refuse) {
  ProxyLoop& loop = impl_->loop();
  loop.perform([&] { loop.set_refusing(refuse); });
}

FaultProxy::Stats FaultProxy::stats() const {
  Stats stats;
  ProxyLoop& loop = impl_->loop();
  loop.perform([&] { stats = loop.stats(); });
  return stats;
}

}  // namespace sluice::testing
