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
