//! Private servers for the tests of the SQL engine, and what those tests share.
#![allow(dead_code, unreachable_pub, missing_docs, clippy::unwrap_used, clippy::expect_used)]

#[path = "../engine_support/mod.rs"]
mod engine_support;

use std::fs;
use std::io::{BufRead, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use rrag_storage::engine::sql::{SqlConfig, SqlEngine};
use rrag_storage::engine::{Commit, Engine};
use rrag_storage::{Answer, Clock, Result};

pub use engine_support::*;

pub const PASSWORD: &str = "s3cret-pass";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Postgres,
    Mysql,
}

/// A server of this test's own, on a free port, in a folder of its own. It dies with this process.
pub struct Server {
    pub kind: Kind,
    pub port: u16,
    dir: PathBuf,
    extra: Vec<String>,
    pid: Mutex<u32>,
    /// While these are open the wrappers leave their servers alone; when this process ends they kill them.
    held: Mutex<Vec<(Child, ChildStdin)>>,
}

/// Runs a server, tells its process id, and kills it when the input ends, and its folder with it; where the input says
/// `keep` the folder stays.
const WRAPPER: &str = r#"dir=$1; shift; "$@" </dev/null >>"$dir/log" 2>&1 & echo $!; read word; [ "$word" = keep ] || kill -QUIT $! 2>/dev/null && sleep 0.3; kill -9 $! 2>/dev/null; wait; [ "$word" = keep ] || rm -rf "$dir""#;

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|me| me.uid() == 0)
}

/// Servers refuse to run as root: as nobody then.
fn command(program: &Path) -> Command {
    let mut command = Command::new(program);
    if is_root() {
        command.uid(65_534).gid(65_534);
    }
    command.env("LC_ALL", "C.UTF-8").current_dir("/");
    command
}

fn postgres_bin(name: &str) -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").ok()?;
    let mut found: Vec<PathBuf> = versions
        .filter_map(|version| Some(version.ok()?.path().join("bin").join(name)))
        .filter(|p| p.exists())
        .collect();
    found.sort();
    found.pop()
}

fn on_path(name: &str) -> Option<PathBuf> {
    let dirs = ["/usr/sbin", "/usr/bin", "/usr/local/bin"].map(PathBuf::from);
    dirs.into_iter().map(|dir| dir.join(name)).find(|path| path.exists())
}

/// A port that is free and that the system gives to no outgoing connection: one that is tried again and again while
/// its server is down would else be met by the very connection that asks for it.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    loop {
        let turn = NEXT.fetch_add(1, Ordering::Relaxed).wrapping_mul(7);
        let own = u16::try_from(std::process::id() % 15_000).unwrap();
        let port = 15_000 + own.wrapping_mul(131).wrapping_add(turn) % 15_000;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// What to say where a server's binary is missing: an error where the servers are required, else a note.
fn missing(package: &str) {
    assert!(std::env::var_os("RRAG_REQUIRE_SERVERS").is_none(), "install {package}: its server is required here");
    eprintln!("ignored: {package} is not installed");
}

impl Server {
    /// A server that is running; `None` where its binary is missing.
    pub fn start(kind: Kind) -> Option<Self> {
        Self::start_with(kind, |_| Vec::new())
    }

    /// A server with further arguments, given its folder, in which they may be prepared.
    pub fn start_with(kind: Kind, prepare: impl FnOnce(&Path) -> Vec<String>) -> Option<Self> {
        let dir = tempfile::Builder::new().prefix("rrag-sql").tempdir().unwrap().keep();
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o700)).unwrap();
        if is_root() {
            chown(&dir, Some(65_534), Some(65_534)).unwrap();
        }
        let found = match kind {
            Kind::Postgres => Self::init_postgres(&dir),
            Kind::Mysql => Self::init_mysql(&dir),
        };
        if found.is_none() {
            missing(if kind == Kind::Postgres { "postgresql" } else { "mariadb-server" });
            let _ = fs::remove_dir_all(&dir);
            return None;
        }
        let extra = prepare(&dir);
        let server = Self { kind, port: free_port(), dir, extra, pid: Mutex::new(0), held: Mutex::default() };
        server.run();
        Some(server)
    }

    fn init_postgres(dir: &Path) -> Option<()> {
        let initdb = postgres_bin("initdb")?;
        let pwfile = dir.join("pw");
        fs::write(&pwfile, PASSWORD).unwrap();
        fs::set_permissions(&pwfile, fs::Permissions::from_mode(0o644)).unwrap();
        let done = command(&initdb)
            .args(["-U", "ada", "-A", "scram-sha-256", "-E", "UTF8", "--no-sync", "--pwfile"])
            .arg(&pwfile)
            .arg("-D")
            .arg(dir.join("data"))
            .output()
            .unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        Some(())
    }

    fn init_mysql(dir: &Path) -> Option<()> {
        on_path("mariadbd")?;
        let install = on_path("mariadb-install-db")?;
        let done = command(&install)
            .args(["--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db"])
            .arg(format!("--datadir={}", dir.join("data").display()))
            .arg(format!("--tmpdir={}", dir.display()))
            .output()
            .unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        let sql = format!(
            "CREATE DATABASE IF NOT EXISTS app;\nCREATE USER IF NOT EXISTS 'ada'@'%' IDENTIFIED BY '{PASSWORD}';\nGRANT ALL ON app.* TO 'ada'@'%';\nCREATE USER IF NOT EXISTS 'eve'@'%' IDENTIFIED BY '{PASSWORD}';\nGRANT PROCESS ON *.* TO 'ada'@'%';\n"
        );
        fs::write(dir.join("init.sql"), sql).unwrap();
        fs::set_permissions(dir.join("init.sql"), fs::Permissions::from_mode(0o644)).unwrap();
        Some(())
    }

    fn run(&self) {
        let program = match self.kind {
            Kind::Postgres => postgres_bin("postgres").unwrap(),
            Kind::Mysql => on_path("mariadbd").unwrap(),
        };
        let data = self.dir.join("data");
        let began = Instant::now();
        loop {
            let mut shell = command(Path::new("/bin/sh"));
            shell.args(["-c", WRAPPER, "sh"]).arg(&self.dir).arg(&program);
            match self.kind {
                Kind::Postgres => shell
                    .arg("-D")
                    .arg(&data)
                    .args(["-p", &self.port.to_string(), "-h", "127.0.0.1", "-k"])
                    .arg(&self.dir)
                    .args(["-c", "max_connections=60", "-c", "shared_buffers=64MB"]),
                Kind::Mysql => shell
                    .arg("--no-defaults")
                    .arg(format!("--datadir={}", data.display()))
                    .arg(format!("--tmpdir={}", self.dir.display()))
                    .arg(format!("--socket={}", self.dir.join("s").display()))
                    .arg(format!("--port={}", self.port))
                    .arg(format!("--init-file={}", self.dir.join("init.sql").display()))
                    .args(["--bind-address=127.0.0.1", "--skip-name-resolve", "--innodb-buffer-pool-size=64M"]),
            };
            shell.args(&self.extra);
            let mut child = shell.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
            let mut line = String::new();
            BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
            let pid: u32 = line.trim().parse().unwrap();
            *self.pid.lock().unwrap() = pid;
            let stdin = child.stdin.take().unwrap();
            self.held.lock().unwrap().push((child, stdin));
            while Path::new(&format!("/proc/{pid}")).exists() && !self.is_zombie(pid) {
                if TcpStream::connect(("127.0.0.1", self.port)).is_ok() && self.answers() {
                    return;
                }
                assert!(began.elapsed() < Duration::from_secs(90), "{}", self.log());
                std::thread::sleep(Duration::from_millis(50));
            }
            // Killed a moment ago, it may have left locks behind that its children still hold.
            assert!(began.elapsed() < Duration::from_mins(1), "{}", self.log());
            self.let_go();
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    #[allow(clippy::unused_self)]
    fn is_zombie(&self, pid: u32) -> bool {
        fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| stat.contains(") Z"))
    }

    fn answers(&self) -> bool {
        let config = SqlConfig { connection_timeout: Duration::from_secs(3), ..SqlConfig::new(self.url()) };
        let config = SqlConfig { table: "probe".into(), ..config };
        let engine = SqlEngine::new(config, Clock::System).unwrap();
        let open = wait(engine.open());
        wait(engine.close()).unwrap();
        open.is_ok()
    }

    fn log(&self) -> String {
        let log = fs::read_to_string(self.dir.join("log")).unwrap_or_default();
        log.lines().rev().take(20).collect::<Vec<_>>().join("\n")
    }

    pub fn url(&self) -> String {
        match self.kind {
            Kind::Postgres => format!("postgres://ada:{PASSWORD}@127.0.0.1:{}/postgres", self.port),
            Kind::Mysql => format!("mysql://ada:{PASSWORD}@127.0.0.1:{}/app", self.port),
        }
    }

    pub fn signal(&self, signal: &str) {
        let pid = self.pid.lock().unwrap().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
    }

    /// Signals the server and the processes that it started.
    pub fn signal_all(&self, signal: &str) {
        let pid = self.pid.lock().unwrap().to_string();
        let children = Command::new("ps").args(["-o", "pid=", "--ppid", &pid]).output().unwrap().stdout;
        let children = String::from_utf8(children).unwrap();
        for pid in children.split_whitespace().chain([pid.as_str()]) {
            // A child may have come to its end meanwhile.
            let _ = Command::new("kill").args([signal, pid]).status();
        }
    }

    /// Has the server close every connection but the one that asks.
    pub fn cut_connections(&self) {
        if self.kind == Kind::Postgres {
            self.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'rrag_storage'");
            return;
        }
        let ids =
            self.sql("SELECT id FROM information_schema.processlist WHERE user = 'ada' AND id <> CONNECTION_ID()");
        let kills: Vec<String> = ids.split_whitespace().map(|id| format!("KILL {id}")).collect();
        self.sql(&kills.join(";"));
    }

    /// What the server's own client answers.
    pub fn sql(&self, sql: &str) -> String {
        let done = self.client(sql).output().unwrap();
        String::from_utf8(done.stdout).unwrap().trim().to_owned()
    }

    /// The server's own client, which is to run `sql`.
    pub fn client(&self, sql: &str) -> Command {
        let port = self.port.to_string();
        let mut client = match self.kind {
            Kind::Postgres => Command::new(postgres_bin("psql").unwrap()),
            Kind::Mysql => Command::new(on_path("mariadb").unwrap()),
        };
        match self.kind {
            Kind::Postgres => client.args(["-h", "127.0.0.1", "-U", "ada", "-d", "postgres", "-p", &port, "-Atc", sql]),
            Kind::Mysql => {
                client.args(["--no-defaults", "--force", "-h127.0.0.1", "-uada", "-P", &port, "-D", "app", "-Ne", sql])
            }
        };
        client.env("PGPASSWORD", PASSWORD).env("MYSQL_PWD", PASSWORD);
        client
    }

    /// As [`Server::sql`], as the administrator, through the socket in the server's folder: MariaDB alone.
    pub fn as_root(&self, sql: &str) -> String {
        let socket = format!("--socket={}", self.dir.join("s").display());
        let mut client = command(&on_path("mariadb").unwrap());
        let done = client.args(["--no-defaults", "-uroot", &socket, "-Ne", sql]).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout).unwrap().trim().to_owned()
    }

    /// Kills the server without a word.
    pub fn kill(&self) {
        self.signal("-9");
        self.let_go();
    }

    /// Has the last wrapper end, so that nothing is left of its server; the folder stays.
    fn let_go(&self) {
        if let Some((mut child, mut stdin)) = self.held.lock().unwrap().pop() {
            stdin.write_all(b"keep\n").unwrap();
            child.wait().unwrap();
        }
    }

    /// Starts it again, on the same port.
    pub fn restart(&self) {
        self.run();
    }

    pub fn config(&self, table: &str) -> SqlConfig {
        SqlConfig { table: table.into(), connection_timeout: Duration::from_secs(20), ..SqlConfig::new(self.url()) }
    }

    pub fn open(&self, table: &str) -> Arc<SqlEngine> {
        SqlEngine::new(self.config(table), Clock::System).unwrap()
    }
}

/// Polls until `holds`.
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < Duration::from_secs(30), "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The server of a kind that all tests of this process share.
pub fn shared(kind: Kind) -> Option<&'static Server> {
    static POSTGRES: OnceLock<Option<Server>> = OnceLock::new();
    static MYSQL: OnceLock<Option<Server>> = OnceLock::new();
    match kind {
        Kind::Postgres => POSTGRES.get_or_init(|| Server::start(kind)),
        Kind::Mysql => MYSQL.get_or_init(|| Server::start(kind)),
    }
    .as_ref()
}

pub fn put(engine: &SqlEngine, name: &str, body: &[u8]) -> Result<Commit> {
    wait(engine.commit(puts(&[(name, body)])))
}

pub fn get(engine: &SqlEngine, name: &str) -> Result<Option<Vec<u8>>> {
    wait(engine.read_one(&key(name))).map(|found| found.map(|record| record.body.to_vec()))
}

/// Adds one to the number under `name`.
pub fn incrementing(engine: &SqlEngine, name: &str) -> Answer<Result<u64>> {
    engine.update(vec![key(name)], plus_one()).map_ok(|updated| number(&updated))
}
