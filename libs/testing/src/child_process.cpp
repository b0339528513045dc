#include <sluice/testing/child_process.h>

#include "sockets.h"

#include <array>
#include <cerrno>
#include <condition_variable>
#include <csignal>
#include <cstring>
#include <format>
#include <mutex>
#include <stdexcept>
#include <system_error>
#include <thread>

#include <sluice/testing/temp_dir.h>

#include <fcntl.h>
#include <linux/close_range.h>
#include <nlohmann/json.hpp>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace sluice::testing {
namespace {

[[noreturn]] void throw_errno(const std::string& what) {
  throw std::system_error(errno, std::generic_category(), what);
}

struct Pipe {
  Fd read_end;
  Fd write_end;
};

Pipe make_pipe() {
  int fds[2];
  if (::pipe2(fds, O_CLOEXEC) != 0) throw_errno("pipe2");
  return {.read_end = Fd(fds[0]), .write_end = Fd(fds[1])};
}

/// The texts and the array of pointers to them that execve(2) takes.
class TextArray {
 public:
  void add(std::string text) { texts_.push_back(std::move(text)); }
  char* const* pointers() {
    pointers_.clear();
    for (std::string& text : texts_) pointers_.push_back(text.data());
    pointers_.push_back(nullptr);
    return pointers_.data();
  }

 private:
  std::vector<std::string> texts_;
  std::vector<char*> pointers_;
};

TextArray environment_with(const std::map<std::string, std::string>& added) {
  TextArray result;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text = *entry;
    const std::string name(text.substr(0, text.find('=')));
    if (!added.contains(name)) result.add(std::string(text));
  }
  for (const auto& [name, value] : added) result.add(name + "=" + value);
  return result;
}

/// In the child between fork(2) and execve(2): async-signal-safe calls alone, since another thread
/// may have held any lock at the moment of the fork.
[[noreturn]] void become_program(const char* program, char* const* arguments,
                                 char* const* environment, pid_t parent, int output,
                                 int error_output, int failure) {
  ::setpgid(0, 0);  // so that its own children can be ended with it
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(127);  // the parent died before the line above
  const int input = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  ::dup2(input, STDIN_FILENO);
  ::dup2(output, STDOUT_FILENO);
  ::dup2(error_output, STDERR_FILENO);
  // Whatever else the test program has open, such as its listeners, is not the child's.
  ::close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::signal(SIGPIPE, SIG_DFL);
  ::execve(program, arguments, environment);
  const int reason = errno;
  [[maybe_unused]] const auto written = ::write(failure, &reason, sizeof reason);
  ::_exit(127);
}

ExitStatus to_status(const siginfo_t& info) {
  if (info.si_code == CLD_EXITED) return {.code = info.si_status, .signal = std::nullopt};
  return {.code = std::nullopt, .signal = info.si_status};
}

void append_bounded(std::string& text, std::string_view more) {
  text += more;
  if (text.size() <= ChildProcess::kMaxOutputSize) return;
  // A quarter more than needed, so that a talkative program does not move megabytes with every
  // line.
  text.erase(0, text.size() - ChildProcess::kMaxOutputSize / 4 * 3);
}

}  // namespace

struct ChildProcess::Impl {
  explicit Impl(Options options);
  ~Impl();

  void pump();
  bool read_available(Fd& from, std::string& into);
  void reap();

  std::string program;
  std::optional<TempDir> address_folder;
  pid_t pid = -1;
  Fd pid_fd;
  Fd outputs[2];  // standard output and error
  Fd stop_pumping;

  mutable std::mutex mutex;
  std::condition_variable changed;
  std::array<std::string, 2> texts;
  std::optional<ExitStatus> status;

  std::thread pumping;
};

ChildProcess::Impl::Impl(Options options) : program(options.program.string()) {
  if (options.address_file) {
    address_folder.emplace();
    options.environment.try_emplace("SLUICE_ADDRESS_FILE",
                                    (address_folder->path() / "addresses.json").string());
  }
  TextArray arguments;
  arguments.add(program);
  for (std::string& argument : options.arguments) arguments.add(std::move(argument));
  TextArray environment = environment_with(options.environment);
  char* const* argument_pointers = arguments.pointers();
  char* const* environment_pointers = environment.pointers();

  Pipe output = make_pipe();
  Pipe error_output = make_pipe();
  Pipe failure = make_pipe();
  stop_pumping = Fd(::eventfd(0, EFD_CLOEXEC));
  if (stop_pumping.get() < 0) throw_errno("eventfd");

  const pid_t parent = ::getpid();
  pid = ::fork();
  if (pid < 0) throw_errno("fork");
  if (pid == 0) {
    become_program(program.c_str(), argument_pointers, environment_pointers, parent,
                   output.write_end.get(), error_output.write_end.get(), failure.write_end.get());
  }
  failure.write_end.close();
  int reason = 0;
  if (::read(failure.read_end.get(), &reason, sizeof reason) == sizeof reason) {
    ::waitpid(pid, nullptr, 0);
    throw std::system_error(reason, std::generic_category(), "cannot start " + program);
  }
  // Not glibc's pidfd_open(), whose header forgets that C++ includes it.
  pid_fd = Fd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (pid_fd.get() < 0) {
    const int why = errno;
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
    throw std::system_error(why, std::generic_category(), "pidfd_open");
  }
  outputs[0] = std::move(output.read_end);
  outputs[1] = std::move(error_output.read_end);
  for (const Fd& fd : outputs) ::fcntl(fd.get(), F_SETFL, O_NONBLOCK);
  pumping = std::thread([this] { pump(); });
}

ChildProcess::Impl::~Impl() {
  // Its process group too: helpers that it started would live on otherwise. The group's id cannot
  // have been given to anybody else while a member lives, and while the leader is not reaped.
  bool has_ended = false;
  {
    std::lock_guard lock(mutex);
    has_ended = status.has_value();
    if (!has_ended) ::kill(-pid, SIGKILL);
  }
  if (!has_ended) {
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return status.has_value(); });
  }
  const std::uint64_t one = 1;
  [[maybe_unused]] const auto written = ::write(stop_pumping.get(), &one, sizeof one);
  pumping.join();
}

void ChildProcess::Impl::pump() {
  for (;;) {
    pollfd waits[] = {{outputs[0].get(), POLLIN, 0},
                      {outputs[1].get(), POLLIN, 0},
                      {pid_fd.get(), POLLIN, 0},
                      {stop_pumping.get(), POLLIN, 0}};  // closed ones are -1 and ignored
    if (::poll(waits, std::size(waits), -1) < 0 && errno != EINTR) throw_errno("poll");
    if (waits[3].revents != 0) return;
    for (std::size_t i = 0; i < 2; ++i) {
      if (waits[i].revents != 0 && !read_available(outputs[i], texts[i])) outputs[i].close();
    }
    if (waits[2].revents != 0) reap();
  }
}

/// Takes what is there now; false at the end of the stream.
bool ChildProcess::Impl::read_available(Fd& from, std::string& into) {
  std::array<char, 64 * 1024> buffer;
  for (;;) {
    const ssize_t size = ::read(from.get(), buffer.data(), buffer.size());
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return errno == EAGAIN;
    if (size == 0) return false;
    {
      std::lock_guard lock(mutex);
      append_bounded(into, {buffer.data(), static_cast<std::size_t>(size)});
    }
    changed.notify_all();
  }
}

/// What it wrote is in the pipes when it has ended; taking that first makes the output complete for
/// whoever sees the status. Helpers it left behind may hold the pipes open, so their end is not
/// waited for.
void ChildProcess::Impl::reap() {
  for (std::size_t i = 0; i < 2; ++i) {
    if (outputs[i].get() >= 0 && !read_available(outputs[i], texts[i])) outputs[i].close();
  }
  {
    std::lock_guard lock(mutex);
    siginfo_t info{};
    if (::waitid(P_PIDFD, static_cast<id_t>(pid_fd.get()), &info, WEXITED) != 0)
      throw_errno("waitid");
    status = to_status(info);
    pid_fd.close();
  }
  changed.notify_all();
}

ChildProcess::ChildProcess(Options options) : impl_(std::make_unique<Impl>(std::move(options))) {}

ChildProcess::~ChildProcess() = default;

int ChildProcess::pid() const { return impl_->pid; }

bool ChildProcess::is_running() const {
  std::lock_guard lock(impl_->mutex);
  return !impl_->status.has_value();
}

void ChildProcess::signal(int number) {
  std::lock_guard lock(
      impl_->mutex);  // under it, since reaping would free the id for another process
  if (!impl_->status) ::kill(impl_->pid, number);
}

void ChildProcess::freeze() {
  signal(SIGSTOP);
  // Told when the last of its threads has stopped. Left there, as only its end is for the reaper.
  siginfo_t info{};
  while (::waitid(P_PID, static_cast<id_t>(pid()), &info, WSTOPPED | WNOWAIT) != 0 &&
         errno == EINTR) {
  }
}

std::optional<ExitStatus> ChildProcess::wait(std::chrono::milliseconds deadline) {
  std::unique_lock lock(impl_->mutex);
  impl_->changed.wait_for(lock, deadline, [&] { return impl_->status.has_value(); });
  return impl_->status;
}

ExitStatus ChildProcess::stop(std::chrono::milliseconds grace) {
  signal(SIGTERM);
  if (auto status = wait(grace)) return *status;
  signal(SIGKILL);
  std::unique_lock lock(impl_->mutex);
  impl_->changed.wait(lock, [&] { return impl_->status.has_value(); });
  return *impl_->status;
}

std::string ChildProcess::standard_output() const {
  std::lock_guard lock(impl_->mutex);
  return impl_->texts[0];
}

std::string ChildProcess::standard_error() const {
  std::lock_guard lock(impl_->mutex);
  return impl_->texts[1];
}

std::string ChildProcess::output() const {
  std::lock_guard lock(impl_->mutex);
  return std::format("--- standard output of {}:\n{}\n--- standard error:\n{}\n", impl_->program,
                     impl_->texts[0], impl_->texts[1]);
}

bool ChildProcess::wait_for_output(std::string_view text,
                                   std::chrono::milliseconds deadline) const {
  std::unique_lock lock(impl_->mutex);
  const auto is_there = [&] {
    return impl_->texts[0].contains(text) || impl_->texts[1].contains(text);
  };
  impl_->changed.wait_for(lock, deadline, [&] { return impl_->status.has_value() || is_there(); });
  return is_there();
}

Result<std::map<std::string, std::string>> ChildProcess::wait_for_addresses(
    std::chrono::milliseconds deadline) const {
  if (!impl_->address_folder) {
    return fail(ErrorCode::kFailedPrecondition, "started without address_file");
  }
  const auto path = impl_->address_folder->path() / "addresses.json";
  const auto end = std::chrono::steady_clock::now() + deadline;
  // A file gives no sign of itself but by looking; its writer renames it into place, so it is
  // whole.
  while (!std::filesystem::exists(path)) {
    std::unique_lock lock(impl_->mutex);
    const auto look_again = std::chrono::milliseconds(5);
    const bool has_ended =
        impl_->changed.wait_for(lock, look_again, [&] { return impl_->status.has_value(); });
    lock.unlock();
    if (has_ended && !std::filesystem::exists(path)) {
      return fail(ErrorCode::kUnavailable, "ended before it had bound its addresses\n" + output());
    }
    if (std::chrono::steady_clock::now() >= end) {
      return fail(ErrorCode::kDeadlineExceeded, "did not bind its addresses in time\n" + output());
    }
  }
  const auto json = nlohmann::json::parse(read_file(path), nullptr, false);
  std::map<std::string, std::string> addresses;
  if (!json.is_object()) return fail(ErrorCode::kInternal, "the address file is not a JSON object");
  for (const auto& [name, value] : json.items()) {
    if (!value.is_string()) {
      return fail(ErrorCode::kInternal, std::format("{} in the address file is not a text", name));
    }
    addresses.emplace(name, value.get<std::string>());
  }
  return addresses;
}

ProgramResult run_program(ChildProcess::Options options, std::chrono::milliseconds deadline) {
  ChildProcess process(std::move(options));
  if (!process.wait(deadline)) process.signal(SIGKILL);
  const ExitStatus status = process.stop();
  return {.status = status,
          .standard_output = process.standard_output(),
          .standard_error = process.standard_error()};
}

}  // namespace sluice::testing
