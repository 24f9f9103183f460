//! What a process pays, and where it says what it has come to.

use super::told;
use fmi_actors::{
    Result,
    meter::{Bytes, Meter, Prices, Tariff},
};
use std::{
    env, fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

/// What a process pays: prices, and how much it has of what is priced. `docs/model.md` says what is
/// counted.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Money {
    /// A file (TOML) with prices, or those that differ from AWS's. `None`: AWS's list prices.
    pub prices: Option<PathBuf>,
    /// Memory of this function, in bytes. `None`: what AWS Lambda says, else 1 GiB.
    pub memory: Option<u64>,
    /// Machines that the job rents while it runs, by their names in the list of prices: the one that
    /// the store runs on, say. The job's first process pays for them.
    pub machines: Vec<String>,
    /// A folder where this process writes its bill when it leaves the job, as JSON in a file of its
    /// own. `fmi run` sets it.
    pub bill: Option<PathBuf>,
}

/// Set by AWS Lambda, in MiB.
const LAMBDA_MEMORY: &str = "AWS_LAMBDA_FUNCTION_MEMORY_SIZE";

impl Money {
    /// The prices from the file, and what is to be paid.
    ///
    /// # Errors
    /// [`Error::Config`](fmi_actors::Error::Config) if the file cannot be read, is no list of
    /// prices, or has none for a machine.
    pub fn tariff(&self) -> Result<Tariff> {
        let prices = match &self.prices {
            None => Prices::aws(),
            Some(path) => {
                let text = fs::read_to_string(path);
                let text = text.map_err(|error| wrong(path, format!("cannot be read: {error}")))?;
                Prices::from_toml(&text).map_err(|bad| wrong(path, bad.to_string()))?
            }
        };
        if let Some(name) = self.machines.iter().find(|name| !prices.hourly.contains_key(*name)) {
            let message = format!(
                "no price is known for {name:?}: give a file of prices whose section [hourly] has it"
            );
            return Err(told("money.machines", message));
        }
        let lambda = || env::var(LAMBDA_MEMORY).ok()?.parse().ok().map(Bytes::mib);
        let memory = self.memory.map(Bytes::new).or_else(lambda).unwrap_or(Bytes::gib(1));
        Ok(Tariff { prices, memory, machines: self.machines.clone() })
    }

    /// Says to the meter of a process what it pays, who gets its bill, and what else is to be done when it
    /// leaves.
    pub(crate) fn charge(
        &self,
        meter: &Arc<Meter>,
        (process, epoch): (u32, u32),
        besides: Option<impl FnOnce() + Send + 'static>,
    ) -> Result<()> {
        let mut tariff = self.tariff()?;
        if process > 0 {
            tariff.machines.clear();
        }
        meter.set_tariff(tariff);
        let folder = self.bill.clone();
        if folder.is_some() || besides.is_some() {
            meter.on_settle(move |bill| {
                if let Some(besides) = besides {
                    besides();
                }
                let Some(folder) = folder else { return };
                let name = format!("{}-{process}-{epoch}", std::process::id());
                let file = folder.join(format!("{name}.json"));
                let text = serde_json::to_vec(&bill).map_err(io::Error::from);
                if let Err(error) = text.and_then(|text| written(&file, &text)) {
                    tracing::warn!("the bill cannot be written to {}: {error}", folder.display());
                }
            });
        }
        Ok(())
    }
}

/// Reads memory: a size.
pub(super) fn memory(text: &str) -> Result<u64, String> {
    super::units::bytes(text).map(|bytes| bytes as u64)
}

/// Reads names with commas between them.
pub(super) fn machines(text: &str) -> Result<Vec<String>, String> {
    let names: Vec<_> = text.split(',').map(|name| name.trim().to_owned()).collect();
    match names.iter().any(String::is_empty) {
        true => Err(format!("{text:?} has an empty name: write names with commas between them")),
        false => Ok(names),
    }
}

/// Writes a file, whole or not at all: whoever collects such files may be quick.
pub(crate) fn written(file: &Path, text: &[u8]) -> io::Result<()> {
    let name = file.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_string_lossy();
    let draft = file.with_file_name(format!(".{name}-{}", std::process::id()));
    fs::write(&draft, text)?;
    fs::rename(draft, file)
}

fn wrong(path: &Path, message: String) -> fmi_actors::Error {
    told(path.display().to_string(), message)
}
