//! Redis, for several hosts on one server, Sentinel set-up or Cluster.
