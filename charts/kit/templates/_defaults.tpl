{{/*
Every value a service chart has, with its default. This is the whole list: the table in ../README.md is made
from it, and ../service.schema.json refuses what is not in it. It is a template and not the library's
values.yaml because Helm files those under `.Values.kit`, with a precedence that has changed between versions;
"kit.values" merges by a rule of its own instead, whether the service's chart is installed alone or in `sluice`.
*/}}
{{- define "kit.defaults" -}}
enabled: true  # Whether `sluice` includes this service.
size: prod  # Which entry of `sizes` gives the replicas, resources and settings: dev, small or prod.
sizes: {}  # For each size the service's `replicas`, `resources` and, over which `config` wins, `config`; required of every service.
image:
  registry: sluice  # Where images come from; the service's name is appended.
  tag: ""  # Empty: the chart's appVersion.
  digest: ""  # `sha256:…`, which beats the tag.
  pullPolicy: IfNotPresent  # Always, IfNotPresent or Never.
  pullSecrets: []  # Names of existing Secrets of the registry.
listens: []  # Ports served besides ops: http (operators' REST, 8443), grpc (9443).
devices:
  listens: []  # Ports that devices connect to: mqtts (8883), wss (8884), psk (8885). They have a Service of their own, `<service>-devices`.
  proxyProtocol: false  # Whether the balancer puts a PROXY header before each connection; one without it is then closed.
  service:
    type: ClusterIP  # ClusterIP, NodePort or LoadBalancer.
    annotations: {}  # For cloud load balancers.
    loadBalancerClass: ""  # Empty: the cluster's usual one.
    sourceRanges: []  # Addresses that the load balancer lets in; empty: all.
    externalTrafficPolicy: Local  # Local: the front sees devices' addresses. Cluster: nodes without a pod of the service take part.
uses: []  # Stores used: kafka, postgres, redis, oidc. Each brings its settings, secrets and network edges.
calls: []  # Services called over gRPC: each brings the setting `<service>_address` and both ends' network edges. Itself: its pods call each other, by `grpc_advertise`.
config: {}  # Settings of the binary, written verbatim into its YAML; wins over what is derived from values.
fromPod: {}  # Settings that the pod knows: `<setting>: <field>`, such as `loops: limits.cpu`; rounded up.
kafka:
  brokers: ""  # `host:port,…`; required by services that use kafka.
  namespace: sluice.  # Prefix of every topic.
  tlsSecret: ""  # Existing Secret with ca.crt; empty: no TLS.
  clientCertificate: false  # Whether tlsSecret also holds tls.crt and tls.key, shown to the brokers.
  saslMechanism: ""  # SCRAM-SHA-512 and the like; empty: no SASL.
  saslUsername: ""  # The user for SASL.
  saslSecret: ""  # Existing Secret with the user's `password` (and `username`, for kafka-lag).
  topics:
    create: true  # Whether services make the topics that are missing; if not, they wait for them.
    partitions: 0  # Of topics made with 12 otherwise: the most pods that can share one. 0: 12.
    replicas: 0  # Copies of each record; a topic with fewer is refused. 0: the brokers' default.
    minInsyncReplicas: 0  # Copies that must exist before a record counts as stored; a topic with fewer is refused. 0: the brokers' default.
postgres:
  url: ""  # `postgresql://user@host:port/database`, never with a password or TLS options.
  secret: ""  # Existing Secret with the user's `password`.
  caSecret: ""  # Existing Secret with ca.crt: the connection is then TLS with the server's name verified.
redis:
  url: ""  # `rediss://host:port`, never with a password.
  secret: ""  # Existing Secret with the `password`.
  caSecret: ""  # Existing Secret with ca.crt; empty: no TLS.
oidc:
  issuer: ""  # Operators may sign in with tokens of this issuer; empty: API keys alone.
  audience: ""  # What the tokens must be meant for.
  jwksUrl: ""  # Where the issuer's keys are.
tls:
  secret: ""  # Secret with tls.crt, tls.key and ca.crt of the service's own identity; empty: `<service>-tls`.
  httpSecret: ""  # Secret with the certificate that operators see; empty: the same.
  certManager:
    enabled: false  # Whether cert-manager issues the identity.
    issuer: sluice  # Its issuer's name.
    issuerKind: Issuer  # Issuer or ClusterIssuer.
    duration: 2160h  # How long a certificate lives.
    renewBefore: 720h  # When it is renewed: a third of its life is left for repairs.
ops:
  secret: sluice-ops  # Existing Secret with the `token` that /metrics, /config and /drain ask for.
service:
  type: ClusterIP  # ClusterIP, or LoadBalancer for services entered from outside.
  annotations: {}  # For cloud load balancers.
autoscaling:
  mode: none  # none, cpu (HorizontalPodAutoscaler) or kafka-lag (KEDA ScaledObject).
  minReplicas: 2  # Never fewer.
  maxReplicas: 10  # Never more; for kafka-lag no more than the topic's partitions.
  cpuPercent: 70  # Of the request, for cpu.
  topic: ""  # Without namespace, for kafka-lag; the consumer group is the namespace and the service's name.
  lagThreshold: 1000  # Records of lag that one more pod is worth.
pdb:
  enabled: true  # Whether a PodDisruptionBudget protects the pods.
  maxUnavailable: 1  # Pods that a drained node may take at once.
networkPolicy:
  enabled: true  # Default deny both ways, plus the service's real edges.
  operators: []  # NetworkPolicyPeers that may reach the REST port; empty: none.
  monitoring: []  # NetworkPolicyPeers that may reach the ops port; empty: none.
  devices: []  # NetworkPolicyPeers that may reach the ports for devices; empty: everybody.
  stores: []  # NetworkPolicyPeers of Kafka, PostgreSQL and Redis; empty: any address, on the ports of the URLs.
  extraIngress: []  # Further NetworkPolicyIngressRules.
  extraEgress: []  # Further NetworkPolicyEgressRules.
monitoring:
  enabled: false  # Whether a PodMonitor is made (needs the Prometheus operator).
  interval: 15s  # Time between scrapes.
  runbooks: ""  # Where runbook.md is, for the links of alerts: `https://…/charts/sluice/alerts/`. Empty: its name alone.
  labels: {}  # Labels by which the operator's Prometheus selects monitors, rules and dashboards.
lifecycle:
  startSeconds: 120  # Time until /startupz must answer, migrations included.
  endpointSeconds: 5  # Time between not ready and the drain, for proxies and balancers to notice; becomes `drain_delay`.
  drainSeconds: 30  # Time to finish what was begun; becomes `shutdown_grace`.
rollout:
  maxSurge: 1  # Pods above `replicas` during an update.
  maxUnavailable: 0  # Pods below it.
  minReadySeconds: 5  # How long a pod must stay ready to count.
scheduling:
  spread: true  # Soft spread over zones and nodes.
  nodeSelector: {}  # As in a pod.
  tolerations: []  # As in a pod.
  affinity: {}  # As in a pod.
  priorityClassName: ""  # As in a pod.
securityContext:
  runAsUser: 65532  # Never 0. Everything else is fixed at what Pod Security calls restricted.
  runAsGroup: 65532  # Never 0.
temporarySize: 64Mi  # Of /tmp, in memory.
podLabels: {}  # Further labels of pods.
podAnnotations: {}  # Further annotations of pods.
secretFiles: {}  # For settings of the service that name a secret file: `<setting>: {secret: <existing Secret>, key: <its key>}`.
spoolSize: ""  # Of /var/spool/sluice, a folder on the node's disk; empty: none.
extraEnv: []  # Further variables, as in a container; never with a secret in `value`.
extraManifests: []  # Further objects to install with the service.
{{- end -}}
