//! What is found out about a Redis server.

use super::{super::Finding, exchange, millis, rate};
use crate::units::human;
use fmi_channels::redis::{self, Examination, Memory};

const CHECK: &str = "redis";
/// Connections of a process.
const CONNECTIONS: u64 = 2;
/// A subscriber that may lag behind less than this is cut off by one burst of messages.
const LAG: u64 = 8 << 20;

pub(super) async fn examine(url: &str) -> Vec<Finding> {
    let examined = match redis::examine(url).await {
        Ok(examined) => examined,
        Err(error) => {
            let advice = "look at host, port, firewall and password; docs/redis.md has the URLs";
            return vec![Finding::problem(CHECK, error.to_string(), advice)];
        }
    };
    let mut findings = vec![speed(&examined)];
    findings.push(rights(&examined));
    findings.extend(examined.memory.as_ref().map(memory));
    findings.extend(bounds(&examined));
    if examined.denied.is_empty() {
        findings.push(match exchange(url).await {
            Ok(took) => Finding::ok(
                CHECK,
                format!("two ranks met there and exchanged messages ({})", millis(took)),
            ),
            Err(error) => Finding::problem(
                CHECK,
                error.to_string(),
                "FMI_LOG=debug shows what was tried; docs/redis.md has what the server must allow",
            ),
        });
    }
    findings
}

fn speed(examined: &Examination) -> Finding {
    let Examination { server, version, round_trip, up, down, .. } = examined;
    let version = version.as_deref().unwrap_or("a server that does not say its version");
    let mut text = format!("{server} is {version}; round trip {}", millis(*round_trip));
    if *up > 0.0 {
        text += &format!(", {} to it, {} from it", rate(*up), rate(*down));
    }
    Finding::ok(CHECK, text)
}

fn rights(examined: &Examination) -> Finding {
    let denied = &examined.denied;
    if denied.is_empty() {
        return Finding::ok(CHECK, "this user may do all that is needed");
    }
    let allow: Vec<_> = denied.iter().map(|command| format!("+{command}")).collect();
    Finding::problem(
        CHECK,
        format!("this user may not use {}", denied.join(", ")),
        format!("allow it: ACL SETUSER NAME ~fmi:* &fmi:* {}", allow.join(" ")),
    )
}

fn memory(memory: &Memory) -> Finding {
    let Memory { used, most, policy } = memory;
    let text = match most {
        0 => format!("memory: {} in use, maxmemory not set", human(*used)),
        most => format!("memory: {} of {} in use, {policy}", human(*used), human(*most)),
    };
    match (most, memory.evicts()) {
        (0, _) => Finding::note(
            CHECK,
            text,
            "set maxmemory below what the machine has: without it the system ends the server when \
             messages pile up",
        ),
        (_, true) => Finding::note(
            CHECK,
            text,
            "a full server takes away messages that nobody has read, and the job fails: set \
             maxmemory-policy noeviction, with which senders wait instead",
        ),
        (most, false) if *used > most / 10 * 9 => {
            Finding::note(CHECK, text, "nearly full: senders will wait; give it more memory")
        }
        _ => Finding::ok(CHECK, text),
    }
}

/// Bounds of the server that a job may meet.
fn bounds(examined: &Examination) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Some([hard, soft, seconds]) = examined.lag {
        let least = [hard, soft].into_iter().filter(|bytes| *bytes > 0).min();
        if let Some(least) = least.filter(|bytes| *bytes < LAG) {
            findings.push(Finding::note(
                CHECK,
                format!("subscribers that lag {} behind are cut off", human(least)),
                &format!(
                    "nothing is lost, but each costs a reconnection: CONFIG SET \
                     client-output-buffer-limit \"pubsub 33554432 {LAG} {}\"",
                    seconds.max(60)
                ),
            ));
        }
    }
    if let Some(clients) = examined.clients.filter(|clients| *clients < 1000) {
        findings.push(Finding::note(
            CHECK,
            format!("it takes {clients} connections: {} processes", clients / CONNECTIONS),
            "raise maxclients for larger jobs",
        ));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::{super::super::Status, *};

    fn status(most: u64, policy: &str) -> Status {
        memory(&Memory { used: 95, most, policy: policy.to_owned() }).status
    }

    #[test]
    fn a_server_that_forgets_is_noted() {
        assert_eq!(status(0, "noeviction"), Status::Note);
        assert_eq!(status(1000, "noeviction"), Status::Ok);
        assert_eq!(status(1000, "volatile-lru"), Status::Note);
        assert_eq!(status(100, "noeviction"), Status::Note);
    }
}
