#include "watch_list.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>

#include <sluice/base/check.h>

#include <sys/epoll.h>
#include <unistd.h>

namespace sluice::http {
namespace {

constexpr int kEventsPerTurn = 256;

}  // namespace

WatchList::~WatchList() {
  if (epoll_ >= 0) close(epoll_);
}

Result<> WatchList::open() {
  epoll_ = epoll_create1(EPOLL_CLOEXEC);
  if (epoll_ < 0) return fail(ErrorCode::kInternal, "no descriptors left");
  return {};
}

Result<> WatchList::add_source(int fd) {
  epoll_event event{.events = EPOLLIN, .data = {.ptr = nullptr}};
  if (epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) != 0) return fail(ErrorCode::kInternal, "epoll");
  return {};
}

void WatchList::remove_source(int fd) { epoll_ctl(epoll_, EPOLL_CTL_DEL, fd, nullptr); }

Connection& WatchList::add(std::unique_ptr<Connection> connection) {
  Connection& out = *connection;
  epoll_event event{.events = EPOLLIN, .data = {.ptr = &out}};
  SLUICE_CHECK(epoll_ctl(epoll_, EPOLL_CTL_ADD, out.transport.fd(), &event) == 0);
  connections_.emplace(&out, std::move(connection));
  return out;
}

std::unique_ptr<Connection> WatchList::remove(Connection& connection) {
  epoll_ctl(epoll_, EPOLL_CTL_DEL, connection.transport.fd(), nullptr);
  deadlines_.erase({connection.deadline, &connection});
  auto node = connections_.extract(&connection);
  return std::move(node.mapped());
}

void WatchList::listen_for(Connection& connection, bool is_writable) {
  epoll_event event{.events = is_writable ? static_cast<std::uint32_t>(EPOLLOUT)
                                          : static_cast<std::uint32_t>(EPOLLIN),
                    .data = {.ptr = &connection}};
  SLUICE_CHECK(epoll_ctl(epoll_, EPOLL_CTL_MOD, connection.transport.fd(), &event) == 0);
}

void WatchList::set_deadline(Connection& connection, MonoTime deadline) {
  deadlines_.erase({connection.deadline, &connection});
  connection.deadline = deadline;
  deadlines_.emplace(deadline, &connection);
}

void WatchList::wait(std::chrono::milliseconds longest, MonoTime now,
                     const std::function<void(Connection&)>& on_event) {
  std::chrono::milliseconds left = longest;
  if (!deadlines_.empty()) {
    const auto first =
        std::chrono::ceil<std::chrono::milliseconds>(deadlines_.begin()->first - now);
    left = std::clamp(first, std::chrono::milliseconds(0), longest);
  }
  std::array<epoll_event, kEventsPerTurn> events{};
  const int count = epoll_wait(epoll_, events.data(), static_cast<int>(events.size()),
                               static_cast<int>(left.count()));
  SLUICE_CHECK(count >= 0 || errno == EINTR);
  for (int i = 0; i < count; ++i) {
    // A source is not among the connections, nor is one that was closed earlier in this turn.
    const auto found =
        connections_.find(static_cast<Connection*>(events[static_cast<std::size_t>(i)].data.ptr));
    if (found != connections_.end()) on_event(*found->second);
  }
}

Connection* WatchList::first_due(MonoTime now) const {
  if (deadlines_.empty() || deadlines_.begin()->first > now) return nullptr;
  return deadlines_.begin()->second;
}

Connection* WatchList::longest_idle() const {
  const auto found = std::ranges::find_if(deadlines_, [](const auto& entry) {
    return entry.second->phase == Connection::Phase::kIdle;
  });
  return found == deadlines_.end() ? nullptr : found->second;
}

std::vector<Connection*> WatchList::all() const {
  std::vector<Connection*> out;
  out.reserve(connections_.size());
  for (const auto& [connection, owner] : connections_) out.push_back(connection);
  return out;
}

}  // namespace sluice::http
