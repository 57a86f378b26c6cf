//! What the operator reads when a setting is wrong, and which source goes before which.

use std::time::Duration;

use super::*;

fn from(file: &str, variables: &[(&str, &str)], overrides: Overrides) -> Result<Settings, ConfigError> {
    let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    combine(Some((PathBuf::from("windlass.toml"), file.to_owned())), &variables, overrides)
}

fn from_file(file: &str) -> Settings {
    from(file, &[], Overrides::default()).unwrap()
}

fn refusal(file: &str) -> String {
    from(file, &[], Overrides::default()).unwrap_err().to_string()
}

#[test]
fn nothing_set_gives_the_defaults() {
    assert_eq!(from_file(""), Settings::default());
}

#[test]
fn a_whole_file_is_read() {
    let settings = from_file(
        r#"
        storage = "sqlite:/data/jobs.db"
        queues = ["mail:3", "default"]
        shutdown_grace = "1min"
        sqlite.synchronous = "normal"
        [limits]
        timeout = "10s"
        max.memory = "256MiB"
        [module.images]
        http = ["example.com"]
        directories = [{ host = "pictures", guest = "/pictures", write = true }]
        environment = { LANG = "C" }
        secrets = { KEY = { env = "IMAGES_KEY" } }
        limits = { fuel = 5 }
        "#,
    );
    assert_eq!(settings.shutdown_grace, Duration::from_secs(60));
    assert_eq!(settings.queues.len(), 2);
    assert!(settings.module.values().next().unwrap().directories[0].write);
    let bounds = settings.bounds(&"images".parse().unwrap()).unwrap();
    assert_eq!((bounds.fuel.default, bounds.timeout.default.as_ms(), bounds.memory.max.0), (5, 10_000, 256 << 20));
}

#[test]
fn flags_go_before_variables_and_variables_before_the_file() {
    let file = "sync_slots = 1\nasync_slots = 1\nqueues = \"file\"\n[limits]\nfuel = 1\nfollow_ups = 7";
    let variables = [
        ("WINDLASS_ASYNC_SLOTS", "2"),
        ("WINDLASS_QUEUES", "variable"),
        ("WINDLASS_LIMITS_FUEL", "2"),
        ("WINDLASS_STORAGE", ""),
        ("WINDLASS_WASI_P3", "0"),
    ];
    let settings = from(file, &variables, Overrides::default().with("queues", Some("flag"))).unwrap();
    assert_eq!((settings.sync_slots, settings.async_slots), (1, 2));
    assert_eq!(settings.queues[0].name.as_str(), "flag");
    assert_eq!((settings.limits.fuel, settings.limits.follow_ups), (Some(2), Some(7)));
    assert_eq!(settings.storage, Settings::default().storage, "an empty variable sets nothing");
    assert!(!settings.wasi_p3);
}

#[test]
fn an_unknown_key_is_named_with_its_table_and_the_nearest_known_one() {
    insta::assert_snapshot!(refusal("sync_slot = 3"), @"failed to read the settings: unknown key `sync_slot` at the top level (windlass.toml, line 1): did you mean `sync_slots`?");
    insta::assert_snapshot!(refusal("\n[module.images]\nhtp = []"), @"failed to read the settings: unknown key `htp` in [module.images] (windlass.toml, line 3): did you mean `http`?");
    insta::assert_snapshot!(refusal("[module.images.limits.max]\nmemorie = 3"), @"failed to read the settings: unknown key `memorie` in [module.images.limits.max] (windlass.toml, line 2): did you mean `memory`?");
    insta::assert_snapshot!(
        refusal("[module.a]\ndirectories = [\n{ host = \"a\", guest = \"/a\", writable = true }]"), @"failed to read the settings: unknown key `writable` in [module.a.directories.0] (windlass.toml, line 3): did you mean `write`?"
    );
    insta::assert_snapshot!(refusal("[sqlite]\njournal = 1"), @"failed to read the settings: unknown key `journal` in [sqlite] (windlass.toml, line 2): the keys there are `synchronous`");
    insta::assert_snapshot!(refusal("[module.a]\nsecrets.KEY = { fil = \"x\" }"), @"failed to read the setting `module.a.secrets.KEY` (windlass.toml, line 2): unknown variant `fil`, expected one of `env`, `file`, `command`");
}

#[test]
fn a_wrong_value_is_named_with_what_was_expected() {
    insta::assert_snapshot!(refusal("sync_slots = \"many\""), @r#"failed to read the setting `sync_slots` (windlass.toml, line 1): invalid type: string "many", expected a whole number"#);
    insta::assert_snapshot!(refusal("sync_slots = -1"), @"failed to read the setting `sync_slots` (windlass.toml, line 1): invalid value: integer `-1`, expected a whole number");
    insta::assert_snapshot!(refusal("listen = \"localhost\""), @r#"failed to read the setting `listen` (windlass.toml, line 1): invalid value: string "localhost", expected an address with its port, such as "127.0.0.1:7878" or "[::1]:7878""#);
    insta::assert_snapshot!(refusal("sync_slots = \"4\""), @r#"failed to read the setting `sync_slots` (windlass.toml, line 1): invalid type: string "4", expected a whole number: write 4, without quotes"#);
    insta::assert_snapshot!(refusal("[module.a]\nhttp = \"example.com\""), @r#"failed to read the setting `module.a.http` (windlass.toml, line 2): invalid type: string "example.com", expected a list, such as ["a", "b"]: write ["example.com"]"#);
    insta::assert_snapshot!(refusal("storage = \"windlass.db\""), @"failed to read the setting `storage` (windlass.toml, line 1): `windlass.db` is not a storage: write `sqlite:windlass.db` for a file of that name; expected sqlite:FILE, postgres://USER:PASSWORD@HOST:PORT/DATABASE or redis://USER:PASSWORD@HOST:PORT/NUMBER");
    insta::assert_snapshot!(refusal("heartbeat = 5"), @r#"failed to read the setting `heartbeat` (windlass.toml, line 1): invalid type: integer `5`, expected a span of time such as "30s", "5min" or "1h 30min": write "5s" for seconds"#);
    insta::assert_snapshot!(refusal("[limits]\nmemory = \"lots\""), @r#"failed to read the setting `limits.memory` (windlass.toml, line 2): `lots` is not a size such as "128MiB", "64kB" or a number of bytes"#);
    insta::assert_snapshot!(refusal("[limits]\ntimeout = \"soon\""), @r#"failed to read the setting `limits.timeout` (windlass.toml, line 2): `soon` is not a span of time such as "30s", "5min" or "1h 30min""#);
    insta::assert_snapshot!(refusal("queues = \"a:x\""), @"failed to read the setting `queues` (windlass.toml, line 1): `a:x`: expected `queue` or `queue:weight` with a weight from 1 to 1000");
    insta::assert_snapshot!(refusal("concurrency_mode = \"fibres\""), @"failed to read the setting `concurrency_mode` (windlass.toml, line 1): unknown variant `fibres`, expected one of `threaded`, `async`, `both`");
    insta::assert_snapshot!(refusal("limits = 3"), @"failed to read the setting `limits` (windlass.toml, line 1): invalid type: integer `3`, expected a table of limits");
    insta::assert_snapshot!(refusal("[module.'a b']"), @"failed to read the setting `module.a b` (windlass.toml, line 1): `a b` is not a module name: expected 1 to 100 of a-z, A-Z, 0-9, `_`, `-` and `.`, not beginning with `-` or `.`");
    insta::assert_snapshot!(refusal("[module.a]\nprivate_networks = 1"), @"failed to read the setting `module.a.private_networks` (windlass.toml, line 2): invalid type: integer `1`, expected true or false");
}

#[test]
fn a_file_that_is_no_toml_is_refused_with_the_place() {
    insta::assert_snapshot!(refusal("storage = "), @r#"
    failed to read windlass.toml: TOML parse error at line 1, column 11
      |
    1 | storage = 
      |           ^
    string values must be quoted, expected literal string
    "#);
}

#[test]
fn a_wrong_variable_or_flag_is_named() {
    let refusal = |variables: &[_], overrides| from("", variables, overrides).unwrap_err().to_string();
    insta::assert_snapshot!(refusal(&[("WINDLASS_SYNC_SLOTS", "many")], Overrides::default()), @r#"failed to read the setting `sync_slots` (the environment variable WINDLASS_SYNC_SLOTS): invalid type: string "many", expected a whole number"#);
    insta::assert_snapshot!(refusal(&[("WINDLASS_LIMITS_MAX_TIMEOUT", "x")], Overrides::default()), @r#"failed to read the setting `limits.max.timeout` (the environment variable WINDLASS_LIMITS_MAX_TIMEOUT): `x` is not a span of time such as "30s", "5min" or "1h 30min""#);
    insta::assert_snapshot!(refusal(&[], Overrides::default().with("shutdown_grace", Some("x"))), @r#"failed to read the setting `shutdown_grace` (--shutdown-grace): `x` is not a span of time such as "30s", "5min" or "1h 30min""#);
}

#[test]
fn limits_that_contradict_each_other_are_refused() {
    insta::assert_snapshot!(refusal("[limits]\ntimeout = \"2h\"\nmax.timeout = \"1h\""), @"failed to use the settings: in [limits], `timeout` (2h) is over `max.timeout` (1h): lower the one or raise the other");
    insta::assert_snapshot!(refusal("[module.a.limits]\nmemory = \"2GiB\"\nmax.memory = \"1GiB\""), @"failed to use the settings: in [module.a.limits], `memory` (2.0 GiB) is over `max.memory` (1.0 GiB): lower the one or raise the other");
}
