//! What a replica is told by its environment: the same for all of them.

use fmi::Config;
use std::{env, fmt::Display, ops::RangeInclusive, str::FromStr};

/// Settings of a replica.
#[derive(Debug)]
pub struct Settings {
    /// `HTTP_LISTEN`: where it serves HTTP. `0.0.0.0:8080` if not set.
    pub listen: String,
    /// `PEERS`: all replicas, `HOST:PORT` with commas between them. A name may stand for many
    /// addresses, as that of a headless Service does. This replica may be among them.
    pub peers: Vec<String>,
    /// `RENDEZVOUS_LISTEN`: where it serves the rendezvous of its groups. `0.0.0.0:0` if not set:
    /// any free port, which invitations name.
    pub rendezvous: String,
    /// `RANKS`: how many ranks a group has, `MIN-MAX`. `1-64` if not set.
    pub ranks: RangeInclusive<usize>,
    /// `GROUPS`: in how many groups this replica is at once, its own and others'. 8 if not set.
    pub groups: usize,
    /// The rest, as any process has it: `FMI_TOKEN` above all.
    pub fmi: Config,
}

impl Settings {
    /// Reads the environment.
    ///
    /// # Errors
    /// What is wrong with which variable.
    pub fn from_env() -> Result<Self, String> {
        let fmi = Config::from_env().map_err(|error| error.to_string())?;
        if fmi.token.is_none() {
            return Err("set FMI_TOKEN, the same for all replicas".to_owned());
        }
        let peers = env::var("PEERS").map_err(|_| {
            "set PEERS to the replicas' addresses: HOST:PORT,HOST:PORT,…".to_owned()
        })?;
        let peers = peers.split(',').map(|peer| peer.trim().to_owned()).collect();
        let ranks = or("RANKS", "1-64".to_owned())?;
        Ok(Self {
            listen: or("HTTP_LISTEN", "0.0.0.0:8080".to_owned())?,
            peers,
            rendezvous: or("RENDEZVOUS_LISTEN", "0.0.0.0:0".to_owned())?,
            ranks: range(&ranks).ok_or(format!("RANKS={ranks}: write MIN-MAX, as in 2-8"))?,
            groups: or("GROUPS", 8)?,
            fmi,
        })
    }
}

/// A variable, or what it is if not set.
fn or<T: FromStr<Err: Display>>(name: &str, default: T) -> Result<T, String> {
    match env::var(name) {
        Ok(text) => text.parse().map_err(|error| format!("{name}={text}: {error}")),
        Err(_) => Ok(default),
    }
}

fn range(text: &str) -> Option<RangeInclusive<usize>> {
    let (min, max) = text.split_once('-')?;
    let (min, max) = (min.trim().parse().ok()?, max.trim().parse().ok()?);
    (1 <= min && min <= max).then_some(min..=max)
}

#[cfg(test)]
mod tests {
    use super::range;

    #[test]
    fn a_group_has_at_least_one_rank() {
        assert_eq!(range("2-8"), Some(2..=8));
        assert_eq!(range(" 3 - 3 "), Some(3..=3));
        for wrong in ["0-4", "5-4", "4", "a-b", ""] {
            assert_eq!(range(wrong), None, "{wrong}");
        }
    }
}
