//! Links that break: the internet between two sites stops passing their packets on.

use std::{net::IpAddr, sync::Arc};

use super::{Family, Namespace};

/// How it looks from the ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// Packets vanish.
    Silently,
    /// Connections are reset and datagrams refused, as by a firewall that forgot them.
    Reset,
}

/// A cut, until it is dropped.
#[derive(Debug)]
pub struct Cut {
    internet: Arc<Namespace>,
    table: String,
}

impl Cut {
    /// Between two addresses; without a second one, between the first and everybody.
    pub(super) fn new(
        internet: &Arc<Namespace>,
        family: Family,
        (name, how): (u32, How),
        (one, other): (IpAddr, Option<IpAddr>),
    ) -> Self {
        let ip = family.nft();
        let verdicts: &[&str] = match how {
            How::Silently => &["drop"],
            How::Reset => &[
                "meta l4proto tcp reject with tcp reset",
                "reject with icmpx type port-unreachable",
            ],
        };
        let (to, from) = match other {
            Some(other) => (format!("{ip} daddr {other}"), format!("{ip} saddr {other}")),
            None => (String::new(), String::new()),
        };
        let table = format!("cut{name}");
        let rules = verdicts.iter().map(|verdict| {
            format!(
                "{ip} saddr {one} {to} {verdict};
                 {ip} daddr {one} {from} {verdict};\n"
            )
        });
        let rules = format!(
            "table inet {table} {{
               chain passing {{
                 type filter hook forward priority -10; policy accept;
                 {}
               }}
             }}",
            rules.collect::<String>()
        );
        internet.nft(&rules).expect("the link could not be cut");
        Self { internet: Arc::clone(internet), table }
    }

    /// Mends it.
    pub fn mend(self) {}
}

impl Drop for Cut {
    fn drop(&mut self) {
        let mended = self.internet.nft(&format!("delete table inet {}\n", self.table));
        if let Err(error) = mended {
            eprintln!("a cut link could not be mended: {error}");
        }
    }
}
