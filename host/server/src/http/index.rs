//! What a person finds who opens the address of a host that was built without the dashboard.

/// Where things are.
pub(super) async fn index() -> &'static str {
    concat!(
        "Windlass ",
        env!("CARGO_PKG_VERSION"),
        "\n\n",
        "This host was built without its dashboard. In a checkout, `cargo xtask build` builds both.\n\n",
        "/api/v1/jobs     jobs, newest first; ?state=failed and the like\n",
        "/api/v1/counts   how many there are by state\n",
        "/api/v1/stats/counters  what happened, by minute or hour and handler\n",
        "/api/v1/modules  modules and their versions\n",
        "/api/v1/queues   queues and what waits in them\n",
        "/api/v1/recurring  recurring jobs\n",
        "/api/v1/servers  servers and their slots\n",
        "/api/v1/events   that something changed, as server-sent events\n",
        "/api/v1/openapi.json  all of it, described for programs\n",
        "/metrics         for Prometheus\n",
        "/healthz         whether the host lives\n",
        "/readyz          whether it is ready\n\n",
        "On the command line: windlass --help\n",
    )
}
