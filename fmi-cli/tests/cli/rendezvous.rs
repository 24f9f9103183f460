//! `fmi rendezvous`.

use crate::support::{Running, finish, fmi, rank_program};
use serde_json::Value;
use std::{net::TcpListener, time::Duration};

const LIMIT: Duration = Duration::from_secs(30);

/// A rendezvous on a free port, with its line of JSON.
pub(crate) fn start(token: Option<&str>) -> (Running, Value) {
    let mut command = fmi(&["rendezvous", "--listen", "127.0.0.1:0", "--json"]);
    if let Some(token) = token {
        command.env("FMI_TOKEN", token);
    }
    let mut server = Running::start(command);
    let line = format!("{{{}", server.line("{"));
    (server, serde_json::from_str(&line).unwrap())
}

#[test]
fn processes_meet_there() {
    let (mut server, line) = start(Some("hunter2"));
    assert_eq!(line.get("token"), None);
    let ranks = [0, 1].map(|rank: usize| {
        let mut command = rank_program("hello");
        command
            .env("FMI_RENDEZVOUS", line["rendezvous"].as_str().unwrap())
            .env("FMI_TOKEN", "hunter2")
            .env("FMI_SIZE", "2")
            .env("FMI_RANK", rank.to_string());
        std::thread::spawn(move || finish(command, LIMIT))
    });
    for (rank, ran) in ranks.into_iter().enumerate() {
        let ran = ran.join().unwrap();
        assert_eq!(ran.code, Some(0), "{ran:?}");
        assert!(ran.stdout.contains(&format!("rank {rank} of 2 met 2")), "{ran:?}");
    }
    server.signal(libc::SIGTERM);
    assert_eq!(server.end(LIMIT).0, Some(0));
}

#[test]
fn a_token_made_up_is_printed_and_never_logged() {
    let (mut server, line) = start(None);
    assert_eq!(line["token"].as_str().unwrap().len(), 64);
    server.signal(libc::SIGINT);
    assert_eq!(server.end(LIMIT).0, Some(0));

    // The variables as a shell would take them, and all of the log.
    let mut command = fmi(&["rendezvous", "--listen", "127.0.0.1:0"]);
    command.env("FMI_LOG", "trace");
    let mut child = command
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = std::io::BufReader::new(child.stdout.take().unwrap());
    let mut lines = String::new();
    for _ in 0..2 {
        std::io::BufRead::read_line(&mut out, &mut lines).unwrap();
    }
    let id = i32::try_from(child.id()).unwrap();
    // SAFETY: kill takes two numbers; the process has not been waited for.
    unsafe { libc::kill(id, libc::SIGTERM) };
    let ended = child.wait_with_output().unwrap();
    let log = String::from_utf8(ended.stderr).unwrap();
    let token = lines.lines().next().unwrap().strip_prefix("export FMI_TOKEN=").unwrap();
    assert!(lines.contains("\nexport FMI_RENDEZVOUS=tcp://127.0.0.1:"), "{lines}");
    assert!(log.contains("listening on 127.0.0.1:"), "{log}");
    assert!(log.contains("rendezvous has ended"), "{log}");
    assert!(!log.contains(token), "{log}");
    assert!(ended.status.success());
}

#[test]
fn a_port_in_use_is_an_error_with_advice() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let ran = finish(fmi(&["rendezvous", "--listen", &address]), LIMIT);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let text = format!("fmi rendezvous: cannot listen on {address}: Address already in use");
    assert!(ran.stderr.starts_with(&text), "{ran:?}");
    assert!(ran.stderr.contains("choose another --listen"), "{ran:?}");
    assert!(ran.stdout.is_empty(), "{ran:?}");
}

/// What an HTTP server says to a request.
fn get(address: &str, path: &str) -> String {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").unwrap();
    let mut said = String::new();
    stream.read_to_string(&mut said).unwrap();
    said
}

#[test]
fn figures_are_served_to_prometheus() {
    let arguments = ["rendezvous", "--listen", "127.0.0.1:0", "--metrics", "127.0.0.1:0", "--json"];
    let mut server = Running::start(fmi(&arguments));
    let line: Value = serde_json::from_str(&format!("{{{}", server.line("{"))).unwrap();
    let address = line["metrics"].as_str().unwrap();
    // A stranger is counted before it is answered.
    let listen = line["listen"].as_str().unwrap();
    drop(std::net::TcpStream::connect(listen).unwrap());
    let mut page = get(address, "/metrics");
    while !page.contains("fmi_rendezvous_strangers_total 1\n") {
        std::thread::yield_now();
        page = get(address, "/metrics");
    }
    assert!(page.starts_with("HTTP/1.1 200 OK\r\n"), "{page}");
    assert!(page.contains("# TYPE fmi_rendezvous_processes gauge\n"), "{page}");
    assert!(page.contains("fmi_rendezvous_processes 0\n"), "{page}");
    assert!(page.contains("fmi_rendezvous_connections_total 1\n"), "{page}");
    assert!(page.ends_with("# EOF\n"), "{page}");
    assert!(get(address, "/").starts_with("HTTP/1.1 404 "));
    server.signal(libc::SIGTERM);
    assert_eq!(server.end(LIMIT).0, Some(0));
}

#[test]
fn clients_of_tcpunch_are_paired() {
    use std::io::{Read, Write};
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let port = port.to_string();
    let arguments =
        ["rendezvous", "--listen", "127.0.0.1:0", "--tcpunch", &port, "--mirror", "off", "--json"];
    let mut server = Running::start(fmi(&arguments));
    let line: Value = serde_json::from_str(&format!("{{{}", server.line("{"))).unwrap();
    assert_eq!(line.get("mirror"), None);
    let [mut one, mut two] = [0, 1].map(|_| {
        let mut stream = std::net::TcpStream::connect(line["tcpunch"].as_str().unwrap()).unwrap();
        stream.write_all(b"pair").unwrap();
        stream.read_exact(&mut [0; 8]).unwrap();
        stream
    });
    let (first, second) = (one.local_addr(), two.local_addr());
    for (here, there) in [(&mut one, second), (&mut two, first)] {
        let mut said = [0; 8];
        here.read_exact(&mut said).unwrap();
        assert_eq!(u16::from_be_bytes([said[4], said[5]]), there.unwrap().port());
    }
    server.signal(libc::SIGTERM);
    assert_eq!(server.end(LIMIT).0, Some(0));
}

#[test]
fn a_certificate_needs_its_key() {
    let ran = finish(fmi(&["rendezvous", "--certificate", "/nonexistent.pem"]), LIMIT);
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(ran.stderr.contains("--key"), "{ran:?}");
    let both = ["rendezvous", "--certificate", "/nonexistent.pem", "--key", "/nonexistent.key"];
    let ran = finish(fmi(&both), LIMIT);
    assert_ne!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stderr.contains("/nonexistent.pem"), "{ran:?}");
}
