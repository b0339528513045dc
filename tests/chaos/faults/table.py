"""All faults, in the order of their numbers; the README's table says the same."""

from .clients import HalfOpenPeer, PoisonMessages, SlowLoris, TooLargePayloads
from .fronts import AllFrontsKilled, FrontDiesBeforeAnswering, FrontFrozen, FrontKilled, RollingRestart
from .kafka import BrokerKilled, KafkaDiskFull, KafkaFrozen, KafkaKilled, KafkaSlow, NotEnoughReplicas, RepliesLost
from .resources import OutOfMemory
from .stores import (
    PostgresDiskFull, PostgresDiskReadOnly, PostgresFsyncFails, PostgresKilled, PostgresReadOnly, PostgresSlow, RedisFlushed, RedisFrozen, RedisKilled)
from .workers import RebalanceStorm, TopicsReplayed, ValidatorDies, WorkersKilled, WriterDiesAfterCommit, WriterDiesBeforeCommit

FAULTS = {
    "front-killed": FrontKilled,  # 1
    "front-dies-before-answering": FrontDiesBeforeAnswering,  # 2
    "workers-killed": WorkersKilled,  # 4
    "validator-dies": ValidatorDies,
    "writer-dies-before-commit": WriterDiesBeforeCommit,
    "writer-dies-after-commit": WriterDiesAfterCommit,
    "front-frozen": FrontFrozen,  # 6
    "broker-killed": BrokerKilled,  # 7
    "kafka-killed": KafkaKilled,
    "kafka-frozen": KafkaFrozen,  # 8
    "kafka-slow": KafkaSlow,
    "not-enough-replicas": NotEnoughReplicas,  # 9
    "replies-lost": RepliesLost,  # 10
    "kafka-disk-full": KafkaDiskFull,  # 11
    "rebalance-storm": RebalanceStorm,  # 13
    "postgres-killed": PostgresKilled,  # 14
    "postgres-slow": PostgresSlow,
    "postgres-read-only": PostgresReadOnly,
    "redis-killed": RedisKilled,  # 16
    "redis-frozen": RedisFrozen,
    "redis-flushed": RedisFlushed,  # 18
    "all-fronts-killed": AllFrontsKilled,  # 22
    "slow-loris": SlowLoris,  # 24
    "half-open-peer": HalfOpenPeer,  # 25
    "too-large-payloads": TooLargePayloads,  # 27
    "poison-messages": PoisonMessages,  # 28
    "topics-replayed": TopicsReplayed,  # 29
    "postgres-disk-full": PostgresDiskFull,  # 33
    "postgres-fsync-fails": PostgresFsyncFails,
    "postgres-disk-read-only": PostgresDiskReadOnly,
    "out-of-memory": OutOfMemory,  # 34
    "rolling-restart": RollingRestart,  # 35
}
# What `make test` has time for: something of each part that can break.
SHORT = ["front-killed", "validator-dies", "writer-dies-before-commit", "kafka-frozen", "postgres-killed", "redis-killed"]
