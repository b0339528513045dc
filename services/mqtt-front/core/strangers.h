#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <string>

#include <sluice/base/clock.h>

namespace sluice::front {

/// Who is between TCP and CONNACK on one loop, and who of them gives way when there are as many as
/// there may be and one more comes. One owner thread: the loop's.
///
/// Refusing the newcomer instead would let whoever opens some connections and says nothing keep
/// everybody out. To end the oldest, whoever that is, would be no better: in a storm of honest
/// devices each newcomer would undo a handshake that is nearly done. Nor is there a bound for each
/// address: one may be a whole network behind NAT, and has all the places while nobody else wants
/// them.
class Strangers {
 public:
  struct Stranger {
    int fd = -1;
    /// Behind a balancer, the balancer's until the PROXY header has come.
    std::string address{};
    /// What counts as one address: a network that one customer has, or all that is behind one NAT.
    std::uint64_t group = 0;
    /// CONNACK or the end, by then.
    MonoTime connect_by{};

    // What follows belongs to Strangers.
    MonoTime heard_at{};  // or came at
    bool has_spoken = false;
    std::list<Stranger>::iterator place{};
  };

  /// How long ago the kernel last received something of it. Of a TLS record heard() is not said
  /// before it is all there, and over narrow-band radio a client's certificates take seconds.
  using QuietFor = std::function<std::chrono::milliseconds(const Stranger&)>;

  /// The pointer holds until remove().
  Stranger* add(Stranger stranger, MonoTime now);
  /// It said something.
  void heard(Stranger& stranger, MonoTime now);
  /// It comes from elsewhere than it seemed.
  void move_to(Stranger& stranger, std::string address, std::uint64_t group);
  /// What is needed to go on with it on another loop.
  Stranger remove(Stranger& stranger);

  /// Who gives way to a newcomer of `group`; null: nobody, the newcomer is to be refused. In this
  /// order, the one who has waited longest of
  ///   a crowd, which is a group that has a quarter of the places, where the newcomer is of none
  ///   those who have not said a word for kFirstWord: clients speak first
  ///   those of whom nothing was heard for kPatience, not even by the kernel.
  const Stranger* who_gives_way(std::uint64_t group, MonoTime now, const QuietFor& quiet_for);

  std::size_t size() const { return silent_.size() + speaking_.size(); }

  /// A client's first bytes follow its ACK at once; this is for us to come round to reading them,
  /// lest newcomers of one moment end each other.
  static constexpr std::chrono::milliseconds kFirstWord{100};
  /// A device with a round trip of a second, which narrow-band radio has, is let finish.
  static constexpr std::chrono::seconds kPatience{2};

 private:
  // Groups are counted by hash: two that share a count are taken for one, which is no worse than if
  // they shared an address. Looking for the largest of so many takes a fraction of a microsecond.
  static constexpr std::size_t kCounts = 512;
  static std::size_t index_of(std::uint64_t group);

  std::list<Stranger> silent_{};    // who came first, first
  std::list<Stranger> speaking_{};  // heard of longest ago first
  std::array<std::uint32_t, kCounts> counts_{};
};

}  // namespace sluice::front
