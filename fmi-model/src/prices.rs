//! What functions, requests and machines cost.
//!
//! [`Prices::aws`] is the table that comes with this crate, with its date and its sources. A user
//! has other contracts: [`Prices::from_toml`] takes whatever part differs.
//!
//! ```
//! use fmi_model::{Bytes, Dollars, Seconds, prices::{Prices, Request}};
//! let prices = Prices::aws();
//! assert_eq!(prices.request(Request::Get), Dollars::new(4e-7));
//! // A function of 2 GiB that waits for a minute:
//! let wait = prices.function_second(Bytes::gib(2)) * Seconds::new(60.0);
//! assert_eq!(wait.to_string(), "$0.002");
//!
//! let ours = Prices::from_toml("store.get = 3e-7")?;
//! assert_eq!(ours.request(Request::Get), Dollars::new(3e-7));
//! assert_eq!(ours.request(Request::Put), prices.request(Request::Put));
//! # Ok::<(), fmi_model::prices::BadPrices>(())
//! ```

use crate::{Bytes, Dollars, DollarsPerSecond, Seconds, polling::LookPrices};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt, sync::LazyLock};

/// A list of prices, in US dollars.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prices {
    /// Who takes them.
    pub provider: String,
    /// Where.
    pub region: String,
    /// When they were looked up, year-month-day.
    pub date: String,
    /// Where they can be read.
    pub source: String,
    /// What functions cost.
    pub function: Function,
    /// What an object store costs.
    pub store: Store,
    /// What an hour of a machine costs, by its name: ElastiCache nodes, EC2 instances.
    pub hourly: BTreeMap<String, Dollars>,
}

/// What functions cost.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Function {
    /// One second with one GiB.
    pub gib_second: DollarsPerSecond,
    /// One invocation.
    pub request: Dollars,
}

/// What an object store costs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Store {
    /// Writing an object, or a part of one.
    pub put: Dollars,
    /// Reading an object, or finding that there is none.
    pub get: Dollars,
    /// Listing up to 1000 keys.
    pub list: Dollars,
    /// Deleting objects.
    pub delete: Dollars,
    /// Moving a GiB, where that is not free.
    pub gib_moved: Dollars,
    /// Keeping a GiB for a month.
    pub gib_month: Dollars,
}

/// A kind of request to a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Request {
    /// Writes something.
    Put,
    /// Reads something, or finds that it is not there.
    Get,
    /// Lists what is there.
    List,
    /// Deletes something.
    Delete,
    /// Any command to a server that costs by the hour, not by the request.
    Command,
}

impl Request {
    /// All kinds.
    pub const ALL: [Self; 5] = [Self::Put, Self::Get, Self::List, Self::Delete, Self::Command];

    /// Its name in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Put => "put",
            Self::Get => "get",
            Self::List => "list",
            Self::Delete => "delete",
            Self::Command => "command",
        }
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Why a text is not a list of prices.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadPrices {
    /// No TOML, a name that means nothing, or a value of another type.
    #[error("not a list of prices: {0}")]
    Text(String),
    /// Nobody pays us.
    #[error("the price {0} is negative or not a number")]
    Negative(String),
}

static AWS: &str = include_str!("../prices/aws.toml");

impl Prices {
    /// Those of Amazon Web Services, from the file `prices/aws.toml` of this crate.
    #[must_use]
    pub fn aws() -> Self {
        static PARSED: LazyLock<Prices> =
            LazyLock::new(|| toml::from_str(AWS).expect("the file is part of this program"));
        PARSED.clone()
    }

    /// Those of a text in TOML. What it does not name is as in [`aws`](Self::aws).
    ///
    /// # Errors
    /// [`BadPrices`], with the place in the text.
    pub fn from_toml(text: &str) -> Result<Self, BadPrices> {
        let bad = |error: toml::de::Error| BadPrices::Text(error.to_string());
        let theirs: toml::Table = toml::from_str(text).map_err(bad)?;
        let mut all: toml::Table = toml::from_str(AWS).map_err(bad)?;
        check("", &theirs)?;
        merge(&mut all, theirs);
        all.try_into().map_err(bad)
    }

    /// As a text that [`from_toml`](Self::from_toml) reads.
    #[must_use]
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("names, texts and numbers can be written")
    }

    /// What a request costs by itself.
    #[must_use]
    pub fn request(&self, kind: Request) -> Dollars {
        match kind {
            Request::Put => self.store.put,
            Request::Get => self.store.get,
            Request::List => self.store.list,
            Request::Delete => self.store.delete,
            Request::Command => Dollars::ZERO,
        }
    }

    /// What a second of a function with so much memory costs.
    #[must_use]
    pub fn function_second(&self, memory: Bytes) -> DollarsPerSecond {
        self.function.gib_second * memory.per(Bytes::gib(1))
    }

    /// What a second of a machine costs, if its name is in the list.
    #[must_use]
    pub fn machine_second(&self, name: &str) -> Option<DollarsPerSecond> {
        Some(*self.hourly.get(name)? / Seconds::new(3600.0))
    }

    /// What looking for something by requests of a kind costs a function with so much memory.
    #[must_use]
    pub fn look(&self, kind: Request, memory: Bytes) -> LookPrices {
        LookPrices { look: self.request(kind), wait: self.function_second(memory) }
    }
}

/// Refuses numbers that are no prices.
fn check(path: &str, table: &toml::Table) -> Result<(), BadPrices> {
    for (key, value) in table {
        let path = format!("{path}{key}");
        match value {
            toml::Value::Table(inner) => check(&format!("{path}."), inner)?,
            toml::Value::Float(price) if !(price.is_finite() && *price >= 0.0) => {
                return Err(BadPrices::Negative(path));
            }
            toml::Value::Integer(price) if *price < 0 => return Err(BadPrices::Negative(path)),
            _ => {}
        }
    }
    Ok(())
}

/// Puts what is there in the place of what was, table by table.
fn merge(all: &mut toml::Table, theirs: toml::Table) {
    for (key, value) in theirs {
        match (all.get_mut(&key), value) {
            (Some(toml::Value::Table(all)), toml::Value::Table(theirs)) => merge(all, theirs),
            // `1` is a price as well as `1.0`.
            (Some(old @ toml::Value::Float(_)), toml::Value::Integer(whole)) => {
                *old = toml::Value::Float(whole as f64);
            }
            (_, value) => {
                all.insert(key, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_replaces_only_itself() {
        let prices = Prices::from_toml("[hourly]\n\"own\" = 1\n[function]\ngib_second = 1e-5\n");
        let prices = prices.unwrap();
        assert_eq!(prices.machine_second("own"), Some(DollarsPerSecond::new(1.0 / 3600.0)));
        assert_eq!(prices.machine_second("t3.nano"), Prices::aws().machine_second("t3.nano"));
        assert_eq!(prices.function_second(Bytes::mib(512)), DollarsPerSecond::new(5e-6));
        assert_eq!(prices.function.request, Prices::aws().function.request);
        assert_eq!(prices.machine_second("none"), None);
    }

    #[test]
    fn what_is_no_price_is_refused() {
        let negative = |text: &str| match Prices::from_toml(text) {
            Err(BadPrices::Negative(path)) => path,
            other => panic!("{other:?}"),
        };
        assert_eq!(negative("store.get = -1.0"), "store.get");
        assert_eq!(negative("hourly.x = -1"), "hourly.x");
        assert_eq!(negative("store.put = nan"), "store.put");
        for text in ["store.got = 1.0", "store.get = \"free\"", "store = 1", "[["] {
            let error = Prices::from_toml(text).unwrap_err();
            assert!(matches!(error, BadPrices::Text(_)), "{text}: {error}");
        }
    }

    #[test]
    fn prices_survive_serde() {
        let ours = Prices::from_toml("store.get = 3e-7\nhourly.own = 0.5").unwrap();
        assert_eq!(Prices::from_toml(&ours.to_toml()).unwrap(), ours);
    }
}
