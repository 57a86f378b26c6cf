//! Each server starts, answers, starts again with its data, and is gone after it is dropped.

#![expect(clippy::unwrap_used, reason = "a test may fail")]

use std::{
    io::{BufRead, BufReader, ErrorKind, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use windlass_test_services::{FalseClock, PgBouncer, Postgres, Proxy, Redis, RedisCluster, RedisSentinel, shared};

fn is_gone(process: u32, address: SocketAddr) -> bool {
    !Path::new(&format!("/proc/{process}")).exists() && TcpStream::connect(address).is_err()
}

#[test]
fn a_redis_server_keeps_its_data_over_a_kill_and_is_gone_after_drop() {
    let mut redis = Redis::start().unwrap();
    redis.ask(&["SET", "greeting", "hello"]).unwrap();
    let first = redis.process_id().unwrap();
    redis.kill().unwrap();
    assert!(redis.ask(&["PING"]).is_err());
    redis.restart().unwrap();
    assert_eq!(redis.ask(&["GET", "greeting"]).unwrap(), "hello");
    assert_eq!(redis.ask(&["CONFIG", "GET", "appendfsync"]).unwrap(), "appendfsync\nalways");
    let (second, address, folder) = (redis.process_id().unwrap(), redis.address(), redis.folder().to_path_buf());
    assert_ne!(first, second);
    drop(redis);
    assert!(is_gone(second, address));
    assert!(!folder.exists());
}

#[test]
fn a_suspended_redis_server_answers_once_it_is_resumed() {
    let redis = Redis::start().unwrap();
    redis.suspend().unwrap();
    let mut stream = TcpStream::connect(redis.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    stream.write_all(b"PING\r\n").unwrap();
    let mut answer = [0; 7];
    assert_eq!(stream.read(&mut answer).unwrap_err().kind(), ErrorKind::WouldBlock);
    redis.resume().unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"+PONG\r\n");
}

#[test]
fn a_redis_server_can_have_a_password_and_tls() {
    let redis = Redis::options().password("secret1").tls().set("maxmemory-policy", "allkeys-lru").start().unwrap();
    assert_eq!(redis.url(), format!("rediss://:secret1@{}", redis.address()));
    assert_eq!(redis.ask(&["CONFIG", "GET", "maxmemory-policy"]).unwrap(), "maxmemory-policy\nallkeys-lru");
    let openssl = Command::new("openssl")
        .args(["s_client", "-verify_return_error", "-verify_ip", "127.0.0.1", "-connect"])
        .arg(redis.address().to_string())
        .arg("-CAfile")
        .arg(redis.certificates().unwrap().authority())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(openssl.status.success(), "{}", String::from_utf8_lossy(&openssl.stderr));
}

#[test]
fn a_redis_cluster_is_whole_again_after_a_master_was_killed() {
    let mut cluster = RedisCluster::start().unwrap();
    assert!(cluster.url().starts_with("redis+cluster://127.0.0.1:"));
    let holder = cluster.holder("greeting").unwrap();
    cluster.masters()[holder].ask(&["SET", "greeting", "hello"]).unwrap();
    let other = (holder + 1) % 3;
    assert!(cluster.masters()[other].ask(&["GET", "greeting"]).unwrap_err().to_string().starts_with("MOVED"));
    cluster.kill(holder).unwrap();
    cluster.restart(holder).unwrap();
    assert_eq!(cluster.masters()[holder].ask(&["GET", "greeting"]).unwrap(), "hello");
}

#[test]
fn sentinels_make_the_replica_the_master_after_the_master_was_killed() {
    let mut sentinel = RedisSentinel::start().unwrap();
    assert!(sentinel.url().ends_with("/mymaster"));
    let before = sentinel.master().unwrap().address();
    sentinel.master().unwrap().ask(&["SET", "greeting", "hello"]).unwrap();
    sentinel.master().unwrap().ask(&["WAIT", "1", "10000"]).unwrap();
    sentinel.kill_master().unwrap();
    sentinel.until_failed_over().unwrap();
    let after = sentinel.master().unwrap();
    assert_ne!(after.address(), before);
    assert_eq!(after.ask(&["GET", "greeting"]).unwrap(), "hello");
    sentinel.restart_killed().unwrap();
}

#[test]
fn a_postgresql_server_keeps_its_data_over_a_kill_and_is_gone_after_drop() {
    let mut postgres = Postgres::options().set("max_connections", "17").start().unwrap();
    postgres.ask("create table greeting (words text); insert into greeting values ('hello'), (null)").unwrap();
    postgres.kill().unwrap();
    assert!(postgres.ask("select 1").is_err());
    postgres.restart().unwrap();
    assert_eq!(postgres.ask("select * from greeting").unwrap(), [[Some("hello".to_owned())], [None]]);
    assert_eq!(postgres.ask("show max_connections").unwrap(), [[Some("17".to_owned())]]);
    assert_eq!(postgres.ask("select * from nothing").unwrap_err().to_string(), "relation \"nothing\" does not exist");
    let (process, address) = (postgres.process_id().unwrap(), postgres.address());
    drop(postgres);
    assert!(is_gone(process, address));
}

#[test]
fn a_postgresql_server_has_databases_and_roles_with_passwords() {
    let postgres = Postgres::start().unwrap();
    let url = postgres.create_database("other").unwrap();
    assert_eq!(url, format!("postgres://windlass@{}/other", postgres.address()));
    assert_eq!(postgres.ask_in("other", "select current_database()").unwrap(), [[Some("other".to_owned())]]);
    let url = postgres.create_role("guarded", "secret1").unwrap();
    assert_eq!(url, format!("postgres://guarded:secret1@{}/windlass", postgres.address()));
    assert!(postgres.ask_in("absent", "select 1").unwrap_err().to_string().contains("does not exist"));
}

#[test]
fn pgbouncer_pools_transactions() {
    let postgres = Postgres::start().unwrap();
    let bouncer = PgBouncer::start(&postgres).unwrap();
    postgres.ask("create table greeting as select 'hello' as words").unwrap();
    assert_eq!(bouncer.ask("select words from greeting").unwrap(), [[Some("hello".to_owned())]]);
    let (process, address) = (bouncer.process_id().unwrap(), bouncer.address());
    assert!(bouncer.url().starts_with("postgres://windlass@127.0.0.1:"));
    drop(bouncer);
    assert!(is_gone(process, address));
}

#[test]
fn the_shared_servers_are_the_same_for_all_who_ask() {
    let (redis, postgres) = (shared::redis_url().unwrap(), shared::postgres_url().unwrap());
    let others = thread::spawn(|| (shared::redis_url().unwrap(), shared::postgres_url().unwrap())).join().unwrap();
    assert_eq!(others, (redis, postgres));
}

#[test]
fn nothing_is_left_behind_where_the_process_that_started_the_servers_is_killed() {
    let mut holder = Command::new(env!("CARGO_BIN_EXE_windlass-test-services"))
        .env_remove(shared::REDIS)
        .env_remove(shared::POSTGRES)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(holder.stdout.take().unwrap()).lines().take(2);
    let addresses: Vec<SocketAddr> = lines.map(|line| address_in(&line.unwrap())).collect();
    assert!(addresses.iter().all(|address| TcpStream::connect(address).is_ok()));
    holder.kill().unwrap();
    holder.wait().unwrap();
    let started = Instant::now();
    while addresses.iter().any(|address| TcpStream::connect(address).is_ok()) {
        assert!(started.elapsed() < LONG, "the servers live on");
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_false_clock_is_as_wrong_as_it_was_set() {
    let clock = FalseClock::new().unwrap();
    let year = || {
        let output = Command::new("date").args(["-u", "+%Y"]).envs(clock.environment()).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().parse::<u32>().unwrap()
    };
    let now = year();
    clock.set(366 * 86_400).unwrap();
    assert_eq!(year(), now + 1);
    clock.set(-366 * 86_400).unwrap();
    assert_eq!(year(), now - 1);
}

/// The address in a URL such as `postgres://windlass@127.0.0.1:5432/windlass`.
fn address_in(url: &str) -> SocketAddr {
    let rest = &url[url.find("127.0.0.1").unwrap()..];
    rest.split('/').next().unwrap().parse().unwrap()
}

/// Sends back whatever it gets.
fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || std::io::copy(&mut &stream, &mut &stream));
        }
    });
    address
}

/// Sends a word through a connection and reads it back.
fn exchange(mut stream: &TcpStream, word: &[u8; 5], patience: Duration) -> std::io::Result<[u8; 5]> {
    stream.set_read_timeout(Some(patience))?;
    stream.write_all(word)?;
    let mut answer = [0; 5];
    stream.read_exact(&mut answer)?;
    Ok(answer)
}

const LONG: Duration = Duration::from_secs(30);
const SHORT: Duration = Duration::from_millis(200);

#[test]
fn a_proxy_loses_what_it_swallows_and_resets_the_connection_afterwards() {
    let proxy = Proxy::start(echo()).unwrap();
    let before = TcpStream::connect(proxy.address()).unwrap();
    assert_eq!(&exchange(&before, b"first", LONG).unwrap(), b"first");
    proxy.black_hole();
    assert_eq!(exchange(&before, b"later", SHORT).unwrap_err().kind(), ErrorKind::WouldBlock);
    let during = TcpStream::connect(proxy.address()).unwrap();
    assert_eq!(exchange(&during, b"later", SHORT).unwrap_err().kind(), ErrorKind::WouldBlock);
    proxy.resume();
    assert_eq!((&before).read(&mut [0]).unwrap_err().kind(), ErrorKind::ConnectionReset);
    let after = TcpStream::connect(proxy.address()).unwrap();
    assert_eq!(&exchange(&after, b"again", LONG).unwrap(), b"again");
}

#[test]
fn a_proxy_delivers_late_what_it_stalled() {
    let proxy = Proxy::start(echo()).unwrap();
    let mut stream = TcpStream::connect(proxy.address()).unwrap();
    assert_eq!(&exchange(&stream, b"first", LONG).unwrap(), b"first");
    proxy.stall();
    assert_eq!(exchange(&stream, b"later", SHORT).unwrap_err().kind(), ErrorKind::WouldBlock);
    proxy.resume();
    let mut answer = [0; 5];
    stream.set_read_timeout(Some(LONG)).unwrap();
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"later");
}

#[test]
fn a_proxy_that_is_cut_resets_every_connection() {
    let proxy = Proxy::start(echo()).unwrap();
    let before = TcpStream::connect(proxy.address()).unwrap();
    assert_eq!(&exchange(&before, b"first", LONG).unwrap(), b"first");
    proxy.cut();
    before.set_read_timeout(Some(LONG)).unwrap();
    assert_eq!((&before).read(&mut [0]).unwrap_err().kind(), ErrorKind::ConnectionReset);
    // A new one is accepted and reset at once, so the reset may come before or after the word.
    let refused = TcpStream::connect(proxy.address()).and_then(|stream| exchange(&stream, b"later", LONG));
    assert!(refused.is_err());
    proxy.resume();
    let after = TcpStream::connect(proxy.address()).unwrap();
    assert_eq!(&exchange(&after, b"again", LONG).unwrap(), b"again");
}
