//! Servers that belong together.

use super::until;
use std::{
    collections::BTreeSet,
    process::{Child, Command, Stdio},
};
use test_servers::redis::{Server, free_port};

/// Three servers that share the keys.
pub(super) fn cluster() -> Option<Vec<Server>> {
    let servers: Option<Vec<_>> =
        (0..3).map(|_| Server::start(&["--cluster-enabled", "yes"])).collect();
    let servers = servers?;
    for (index, server) in servers.iter().enumerate() {
        let (first, last) = (index * 5461, if index == 2 { 16383 } else { index * 5461 + 5460 });
        let range = [first.to_string(), last.to_string()];
        server.ask(&["CLUSTER", "ADDSLOTSRANGE", &range[0], &range[1]]);
        // So that no two think of the same time.
        server.ask(&["CLUSTER", "SET-CONFIG-EPOCH", &(index + 1).to_string()]);
    }
    for server in &servers[1..] {
        server.ask(&["CLUSTER", "MEET", "127.0.0.1", &servers[0].port().to_string()]);
    }
    until("the cluster comes about", || {
        servers.iter().all(|server| {
            let info = server.ask(&["CLUSTER", "INFO"]).concat();
            info.contains("cluster_state:ok") && info.contains("cluster_known_nodes:3")
        }) && agree(&servers)
    });
    Some(servers)
}

/// Moves the part of the key space that a key is in to another server of a cluster, as an operator
/// would.
pub(super) fn migrate(servers: &[Server], key: &str) {
    let slot = servers[0].ask(&["CLUSTER", "KEYSLOT", key]).remove(0);
    let has_it = |server: &&Server| server.try_ask(&["EXISTS", key]).is_ok();
    let from = servers.iter().position(|server| has_it(&server)).expect("a server of the slot");
    let (source, target) = (&servers[from], &servers[(from + 1) % servers.len()]);
    let id = |server: &Server| server.ask(&["CLUSTER", "MYID"]).remove(0);
    let (from, to) = (id(source), id(target));
    target.ask(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &from]);
    source.ask(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &to]);
    loop {
        let keys = source.ask(&["CLUSTER", "GETKEYSINSLOT", &slot, "100"]);
        if keys.is_empty() {
            break;
        }
        let port = target.port().to_string();
        let mut migrate = vec!["MIGRATE", "127.0.0.1", &port, "", "0", "5000", "KEYS"];
        migrate.extend(keys.iter().map(String::as_str));
        source.ask(&migrate);
    }
    for server in [target, source].into_iter().chain(servers) {
        server.ask(&["CLUSTER", "SETSLOT", &slot, "NODE", &to]);
    }
    let slot = slot.parse().expect("the number of a slot");
    until("all servers know who has it", || {
        for server in servers.iter().filter(|server| !View::of(server).has(&to, slot)) {
            // It has heard older news after ours.
            server.ask(&["CLUSTER", "SETSLOT", &slot.to_string(), "NODE", &to]);
        }
        agree(servers)
    });
}

/// Whether all servers of a cluster know the same of each other.
fn agree(servers: &[Server]) -> bool {
    let views: Vec<_> = servers.iter().map(View::of).collect();
    views.iter().all(|view| *view == views[0])
}

/// What a server of a cluster knows: of each one its identity, epoch, and slots.
#[derive(Debug, PartialEq, Eq)]
struct View(BTreeSet<Vec<String>>);

impl View {
    fn of(server: &Server) -> Self {
        let text = server.ask(&["CLUSTER", "NODES"]).join("\n");
        let of = |line: &str| {
            let words: Vec<_> = line.split_whitespace().map(str::to_owned).collect();
            [&words[..1], &words[6..7], &words[8..]].concat()
        };
        Self(text.lines().filter(|line| line.split_whitespace().count() >= 8).map(of).collect())
    }

    fn has(&self, id: &str, slot: u16) -> bool {
        let slots = self.0.iter().filter(|of| of[0] == id).flat_map(|of| &of[2..]);
        slots.filter_map(|range| range.split_once('-').or(Some((range, range)))).any(|range| {
            let (first, last) = (range.0.parse::<u16>(), range.1.parse::<u16>());
            first.is_ok_and(|first| first <= slot) && last.is_ok_and(|last| slot <= last)
        })
    }
}

/// A sentinel that watches over one master, called `main`, and may decide alone.
#[derive(Debug)]
pub(super) struct Sentinel {
    pub(super) port: u16,
    process: Child,
    _files: tempfile::TempDir,
}

impl Sentinel {
    pub(super) fn of(master: &Server) -> Self {
        let files = tempfile::tempdir().expect("a directory for the sentinel");
        let (port, config) = (free_port(), files.path().join("sentinel.conf"));
        let text = format!(
            "port {port}\nbind 127.0.0.1\ndir {}\nsentinel monitor main 127.0.0.1 {} 1\n\
             sentinel down-after-milliseconds main 500\nsentinel failover-timeout main 3000\n",
            files.path().display(),
            master.port()
        );
        std::fs::write(&config, text).expect("the sentinel's file");
        let process = Command::new("redis-server")
            .arg(&config)
            .arg("--sentinel")
            .stdout(Stdio::null())
            .spawn()
            .expect("a sentinel");
        until("the sentinel starts", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
        Self { port, process, _files: files }
    }

    pub(super) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}?sentinel=main", self.port)
    }
}

impl Drop for Sentinel {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
