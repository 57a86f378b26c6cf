//! Reading a storage's URL. No error here repeats what could be a part of a password.

use std::path::PathBuf;

use super::Place;

const SQLITE: &str = "sqlite:FILE";
const POSTGRES: &str = "postgres://USER:PASSWORD@HOST:PORT/DATABASE";
const REDIS: &str = "redis://USER:PASSWORD@HOST:PORT/NUMBER";
const SENTINEL: &str = "redis+sentinel://HOST:PORT,HOST:PORT/MASTER";
const CLUSTER: &str = "redis+cluster://HOST:PORT,HOST:PORT";

/// What stands before the first colon.
const SCHEMES: [&str; 9] = [
    "sqlite",
    "postgres",
    "postgresql",
    "redis",
    "rediss",
    "redis+sentinel",
    "rediss+sentinel",
    "redis+cluster",
    "rediss+cluster",
];

/// Below this likeness (Jaro-Winkler, 0 to 1) a guess at the scheme would be no help.
const ALIKE: f64 = 0.85;

/// Reads a whole URL.
pub(super) fn place(text: &str) -> Result<Place, String> {
    let Some((scheme, rest)) = text.split_once(':') else { return Err(no_scheme(text)) };
    match scheme {
        "sqlite" => sqlite(rest).map(Place::Sqlite),
        "postgres" | "postgresql" => postgres(rest).map(|()| Place::Postgres),
        "redis" | "rediss" => redis(rest).map(|()| Place::Redis),
        "redis+sentinel" | "rediss+sentinel" => sentinel(rest).map(|()| Place::Redis),
        "redis+cluster" | "rediss+cluster" => cluster(rest).map(|()| Place::Redis),
        _ => Err(unknown_scheme(scheme)),
    }
}

/// The URL with everything between the user's name and the host hidden, and every parameter that is a password.
pub(super) fn masked(text: &str) -> String {
    let begin = text.find("//").map_or(0, |slashes| slashes + 2);
    let (scheme, rest) = text.split_at(begin);
    let (before, query) = rest.split_once('?').map_or((rest, None), |(before, query)| (before, Some(query)));
    let shown = match before.rsplit_once('@') {
        None => before.to_owned(),
        Some((user, hosts)) => match user.split_once(':') {
            Some((user, _)) => format!("{user}:***@{hosts}"),
            None => format!("{user}@{hosts}"),
        },
    };
    let query = query.map(|query| {
        let parameters = query.split('&').map(|parameter| match parameter.split_once('=') {
            Some((key, _)) if key.contains("password") => format!("{key}=***"),
            _ => parameter.to_owned(),
        });
        format!("?{}", parameters.collect::<Vec<_>>().join("&"))
    });
    format!("{scheme}{shown}{}", query.unwrap_or_default())
}

fn no_scheme(text: &str) -> String {
    let expected = format!("expected {SQLITE}, {POSTGRES} or {REDIS}");
    if text.is_empty() {
        return format!("no storage is named: {expected}");
    }
    if text.contains('@') || text.chars().count() > 200 {
        return format!("this is not a storage, since it names no scheme: {expected}");
    }
    format!("`{text}` is not a storage: write `sqlite:{text}` for a file of that name; {expected}")
}

fn unknown_scheme(scheme: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "+.-".contains(letter);
    let named = if scheme.len() <= 30 && scheme.chars().all(plain) && !scheme.is_empty() {
        format!("`{scheme}` is not a kind of storage")
    } else {
        "this is not a storage".to_owned()
    };
    let rated = SCHEMES.iter().map(|known| (strsim::jaro_winkler(&scheme.to_ascii_lowercase(), known), known));
    let nearest =
        rated.filter(|(likeness, _)| *likeness >= ALIKE).max_by(|(left, _), (right, _)| left.total_cmp(right));
    let meant = nearest.map_or_else(String::new, |(_, known)| format!("did you mean `{known}`? "));
    let remote = if matches!(scheme, "http" | "https") { "a host's address is given as --url; " } else { "" };
    format!("{named}: {meant}{remote}expected {SQLITE}, {POSTGRES}, {REDIS}, {SENTINEL} or {CLUSTER}")
}

fn sqlite(rest: &str) -> Result<PathBuf, String> {
    let path = rest.strip_prefix("//").unwrap_or(rest);
    let wrong = |problem: &str| Err(format!("`sqlite:{rest}` {problem}"));
    match path {
        "" => Err(format!("`sqlite:{rest}` names no file: expected {SQLITE}, such as `sqlite:windlass.db`")),
        _ if path.starts_with(":memory:") => {
            wrong("would be lost with the process, and seen by no other: name a file, such as `sqlite:windlass.db`")
        }
        _ if path.starts_with("file:") => wrong("is SQLite's own kind of URL: write the file's path after `sqlite:`"),
        _ if path.contains('?') => wrong(
            "has parameters, and there are none for SQLite: leave out what follows the `?` (settings such as `synchronous` stand in [sqlite] of windlass.toml)",
        ),
        _ if path.ends_with('/') || path.ends_with("/.") || path == "." || path == ".." => {
            wrong("names a folder: name a file in it, such as `windlass.db`")
        }
        _ if path.contains('\0') => Err("the path of an sqlite URL cannot hold a NUL character".to_owned()),
        _ => Ok(PathBuf::from(path)),
    }
}

fn postgres(rest: &str) -> Result<(), String> {
    let parts = Parts::read(rest, "PostgreSQL", POSTGRES)?;
    let elsewhere = |key: &str| parts.query.iter().any(|(name, value)| *name == key && !value.is_empty());
    if parts.hosts.is_empty() && !elsewhere("host") {
        return parts.wrong("names no host");
    }
    if parts.hosts.len() > 1 {
        return parts.wrong("names several hosts, and one is expected");
    }
    if parts.path.is_empty() && !elsewhere("dbname") {
        return parts.wrong("names no database");
    }
    if parts.path.contains('/') {
        return parts.wrong("names a database with a `/` in it (written as %2F, if it is really so)");
    }
    Ok(())
}

fn redis(rest: &str) -> Result<(), String> {
    let parts = Parts::read(rest, "Redis", REDIS)?;
    match parts.hosts.len() {
        0 => parts.wrong("names no host"),
        1 => parts.number(parts.path),
        _ => parts.wrong("names several hosts: say `redis+cluster` or `redis+sentinel` for several"),
    }
}

fn sentinel(rest: &str) -> Result<(), String> {
    let parts = Parts::read(rest, "Sentinel", SENTINEL)?;
    if parts.hosts.is_empty() {
        return parts.wrong("names no sentinel");
    }
    let (master, number) = parts.path.split_once('/').unwrap_or((parts.path, ""));
    if master.is_empty() {
        return parts.wrong("does not say which master the sentinels watch");
    }
    parts.number(number)
}

fn cluster(rest: &str) -> Result<(), String> {
    let parts = Parts::read(rest, "Cluster", CLUSTER)?;
    if parts.hosts.is_empty() {
        return parts.wrong("names no node");
    }
    if !matches!(parts.path, "" | "0") {
        return parts.wrong("names a database, and a Redis Cluster has but one");
    }
    Ok(())
}

/// What a URL with an authority is made of.
struct Parts<'a> {
    kind: &'static str,
    expected: &'static str,
    hosts: Vec<&'a str>,
    path: &'a str,
    query: Vec<(&'a str, &'a str)>,
}

impl<'a> Parts<'a> {
    fn read(rest: &'a str, kind: &'static str, expected: &'static str) -> Result<Self, String> {
        let mut parts = Self { kind, expected, hosts: Vec::new(), path: "", query: Vec::new() };
        let Some(rest) = rest.strip_prefix("//") else { return parts.wrong("has no `//` after its scheme") };
        if rest.contains('#') || rest.chars().any(char::is_whitespace) {
            return parts.wrong("holds a `#` or a space, to be written as %23 and %20");
        }
        let (before, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = before.split_once('/').unwrap_or((before, ""));
        // A `/` or `?` in a password would end the authority early, and what is left of it would count as the host.
        let cut = path.contains('@') || (!authority.contains('@') && query.contains('@') && !query.contains('='));
        if cut {
            return parts.wrong("has a user or password with a `/` or `?` in it, to be written as %2F and %3F");
        }
        let hosts = authority.rsplit_once('@').map_or(authority, |(_, hosts)| hosts);
        if !hosts.is_empty() {
            parts.hosts = hosts.split(',').collect();
        }
        if let Some(problem) = parts.hosts.iter().find_map(|host| host_problem(host)) {
            return parts.wrong(problem);
        }
        parts.path = path;
        for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
            match parameter.split_once('=') {
                Some(("namespace", "")) => return parts.wrong("has an empty `namespace`"),
                Some(given) => parts.query.push(given),
                None => return parts.wrong("has a parameter without a `=`"),
            }
        }
        Ok(parts)
    }

    fn number(&self, text: &str) -> Result<(), String> {
        if text.is_empty() || text.parse::<u32>().is_ok() {
            return Ok(());
        }
        self.wrong("names a database that is no number")
    }

    fn wrong<T>(&self, problem: &str) -> Result<T, String> {
        Err(format!("the URL of the {} storage {problem}: expected {}", self.kind, self.expected))
    }
}

fn host_problem(host: &str) -> Option<&'static str> {
    let (name, port) = match host.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((name, "")) => (name, None),
            Some((name, port)) => (name, Some(port.strip_prefix(':').unwrap_or("none"))),
            None => return Some("has a host with `[` but no `]`"),
        },
        None => host.split_once(':').map_or((host, None), |(name, port)| (name, Some(port))),
    };
    if name.is_empty() {
        return Some("has a port without a host");
    }
    // Not shown: where a `@` is missing, this may be the password.
    let wrong = port.is_some_and(|port| port.parse::<u16>().map_or(true, |port| port == 0));
    wrong.then_some("has a port that is no number from 1 to 65535")
}

#[cfg(test)]
mod tests {
    use super::super::StorageUrl;

    fn refusal(text: &str) -> String {
        text.parse::<StorageUrl>().unwrap_err().to_string()
    }

    #[test]
    fn what_is_documented_is_understood() {
        for text in [
            "sqlite:windlass.db",
            "sqlite:///var/lib/windlass.db",
            "sqlite:a b/c@d.db",
            "postgres://u:p@localhost:5432/jobs",
            "postgresql://u@[::1]/jobs?namespace=a&sslmode=require",
            "postgres:///jobs?host=/var/run/postgresql",
            "redis://localhost",
            "redis://:secret@[::1]:6379/2?namespace=mail",
            "rediss://u:p%2Fw@redis.example:6380/0",
            "redis+sentinel://u:p@a:26379,b:26379/mymaster/1",
            "redis+cluster://a:7001,b:7002,c:7003",
            "rediss+cluster://a:7001?namespace=x",
        ] {
            assert_eq!(text.parse::<StorageUrl>().map(|url| url.with_password().to_owned()).as_deref(), Ok(text));
        }
        assert_eq!("sqlite:///v/w.db".parse::<StorageUrl>().unwrap().file(), Some("/v/w.db".as_ref()));
        assert_eq!("sqlite:v/w.db".parse::<StorageUrl>().unwrap().file(), Some("v/w.db".as_ref()));
    }

    #[test]
    fn a_wrong_scheme_is_refused_with_the_one_that_was_meant() {
        for (text, said) in [
            ("oracle:there", "`oracle` is not a kind of storage: expected sqlite:FILE, postgres://"),
            ("postgress://u@h/d", "did you mean `postgres`?"),
            ("SQLite:a.db", "did you mean `sqlite`?"),
            ("redis-sentinel://h/m", "did you mean `redis+sentinel`?"),
            ("http://127.0.0.1:7878", "a host's address is given as --url"),
            ("windlass.db", "write `sqlite:windlass.db`"),
            ("", "no storage is named"),
            ("://", "this is not a storage"),
        ] {
            assert!(refusal(text).contains(said), "{}", refusal(text));
        }
    }

    #[test]
    fn an_odd_sqlite_url_is_refused_with_what_to_write() {
        for (text, said) in [
            ("sqlite:", "names no file"),
            ("sqlite://", "names no file"),
            ("sqlite::memory:", "would be lost with the process"),
            ("sqlite::memory:?cache=shared", "would be lost with the process"),
            ("sqlite:a.db?mode=ro", "has parameters"),
            ("sqlite:file:a.db", "SQLite's own kind of URL"),
            ("sqlite:data/", "names a folder"),
            ("sqlite:.", "names a folder"),
        ] {
            assert!(refusal(text).contains(said), "{}", refusal(text));
        }
    }

    #[test]
    fn a_missing_or_wrong_part_is_named() {
        for (text, said) in [
            ("postgres:u@h/d", "no `//`"),
            ("postgres://u:p@/d", "names no host"),
            ("postgres://u:p@h", "names no database"),
            ("postgres://u:p@h/", "names no database"),
            ("postgres://h1,h2/d", "several hosts"),
            ("postgres://h:x/d", "port that is no number"),
            ("postgres://:5432/d", "port without a host"),
            ("postgres://[::1/d", "`[` but no `]`"),
            ("postgres://h/d?namespace=", "empty `namespace`"),
            ("postgres://h/d?ssl", "without a `=`"),
            ("redis://", "names no host"),
            ("redis://h:0", "port that is no number"),
            ("redis://h/zero", "database that is no number"),
            ("redis://a,b", "`redis+cluster` or `redis+sentinel`"),
            ("redis+sentinel://a,b", "which master"),
            ("redis+sentinel:///m", "names no sentinel"),
            ("redis+cluster://a/1", "has but one"),
            ("redis+cluster://", "names no node"),
        ] {
            assert!(refusal(text).contains(said), "{text}: {}", refusal(text));
        }
    }

    #[test]
    fn no_error_shows_a_password() {
        for text in [
            "postgres://u:hunter2/x@h/d",
            "postgres://u:hunter2?x@h/d",
            "postgres://u:hunter2#x@h/d",
            "postgres://u:hunter2@h:port/d",
            "postgres://u:hunter2@h",
            "postgres://u:hunter2",
            "mysql://u:hunter2@h/d",
            "hunter2@h/d",
            "hunter2@h:1/d",
            "redis://:hunter2@h/x",
            "redis:hunter2@h",
        ] {
            assert!(!refusal(text).contains("hunter2"), "{text}: {}", refusal(text));
        }
    }

    #[test]
    fn a_url_is_shown_without_its_password() {
        for (text, shown) in [
            ("postgres://u:hun:t@r2@h:1/d", "postgres://u:***@h:1/d"),
            ("postgres://u@h/d?password=hunter2&a=b", "postgres://u@h/d?password=***&a=b"),
            ("redis://:hunter2@h", "redis://:***@h"),
            ("redis+cluster://u:hunter2@a:1,b:2?namespace=n", "redis+cluster://u:***@a:1,b:2?namespace=n"),
            ("sqlite:a:b@c.db", "sqlite:a:b@c.db"),
        ] {
            let url: StorageUrl = text.parse().unwrap();
            assert_eq!(url.to_string(), shown);
            assert_eq!(format!("{url:?}"), format!("StorageUrl({shown:?})"));
        }
    }
}
