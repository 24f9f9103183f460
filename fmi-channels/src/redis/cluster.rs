//! Which server of a cluster has which keys.

use super::{connection::Opening, trouble::Trouble, url::Address};
use parking_lot::Mutex;
use redis::{Value, cmd};
use std::ops::RangeInclusive;

/// The servers by slot, as far as they are known.
#[derive(Debug, Default)]
pub(super) struct Slots(Mutex<Vec<(RangeInclusive<u16>, Address)>>);

impl Slots {
    /// The server of a slot, if it is known.
    pub(super) fn known(&self, slot: u16) -> Option<Address> {
        let slots = self.0.lock();
        slots.iter().find(|(range, _)| range.contains(&slot)).map(|(_, server)| server.clone())
    }

    /// They have changed, it seems: they are asked for again.
    pub(super) fn doubt(&self) {
        self.0.lock().clear();
    }

    /// The server of a slot. Any of the seeds may know.
    pub(super) async fn find(
        &self,
        slot: u16,
        opening: &Opening,
        seeds: &[Address],
    ) -> Result<Address, Trouble> {
        if let Some(server) = self.known(slot) {
            return Ok(server);
        }
        let mut last = Trouble::passing("the cluster has no server");
        for seed in seeds {
            match ask(opening, seed).await {
                Ok(slots) => {
                    *self.0.lock() = slots;
                    return self.known(slot).ok_or_else(|| {
                        Trouble::passing(format!("no server of the cluster has slot {slot}"))
                    });
                }
                Err(trouble) if trouble.is_lasting() => return Err(trouble),
                Err(trouble) => last = trouble,
            }
        }
        Err(last)
    }
}

async fn ask(
    opening: &Opening,
    seed: &Address,
) -> Result<Vec<(RangeInclusive<u16>, Address)>, Trouble> {
    let connection = opening.open(seed, None).await?;
    let mut slots = cmd("CLUSTER");
    slots.arg("SLOTS");
    let answer = connection.ask(slots).await?;
    read(&answer, seed)
        .ok_or_else(|| Trouble::lasting("its answer to CLUSTER SLOTS makes no sense"))
}

/// Ranges, each with its master's host, which may be empty for the server that was asked, and port.
fn read(answer: &Value, seed: &Address) -> Option<Vec<(RangeInclusive<u16>, Address)>> {
    let Value::Array(ranges) = answer else { return None };
    let range = |range: &Value| {
        let Value::Array(range) = range else { return None };
        let [Value::Int(first), Value::Int(last), Value::Array(master), ..] = &range[..] else {
            return None;
        };
        let [host, Value::Int(port), ..] = &master[..] else { return None };
        let host = match host {
            Value::BulkString(host) if !host.is_empty() => String::from_utf8(host.clone()).ok()?,
            Value::Nil | Value::BulkString(_) => seed.host.clone(),
            _ => return None,
        };
        let slots = u16::try_from(*first).ok()?..=u16::try_from(*last).ok()?;
        Some((slots, Address { host, port: u16::try_from(*port).ok()? }))
    };
    ranges.iter().map(range).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_servers_answer() {
        let seed = Address { host: "seed".into(), port: 1 };
        let text = |text: &str| Value::BulkString(text.into());
        let range = |first, last, host, port| {
            let master = Value::Array(vec![text(host), Value::Int(port), text("id")]);
            Value::Array(vec![Value::Int(first), Value::Int(last), master])
        };
        let answer = Value::Array(vec![range(0, 99, "a", 7), range(100, 16383, "", 8)]);
        let slots = read(&answer, &seed).unwrap();
        assert_eq!(slots[0], (0..=99, Address { host: "a".into(), port: 7 }));
        assert_eq!(slots[1], (100..=16383, Address { host: "seed".into(), port: 8 }));
        assert_eq!(read(&Value::Array(vec![range(0, 70_000, "a", 7)]), &seed), None);
        assert_eq!(read(&Value::Okay, &seed), None);
    }
}
