//! Sources of settings, and which wins: file, then environment, then setters.

use std::path::Path;

use fmi_actors::Result;

use super::env::{self, Lookup};
use super::{Config, json, launcher, told, toml};

impl Config {
    /// Reads a file and then the environment, which overrides the file.
    ///
    /// The file is the one that `FMI_CONFIG` names, else `./fmi.toml`, else `./fmi.json`, else
    /// none. Setters override both. What is missing of rank and size then, and was set by a launcher that
    /// is not ours (`srun`, `mpirun`, AWS Batch, Kubernetes), is [adopted](Config#structfield.launcher). What belongs together is checked later, by
    /// [`Config::validate`], so that setters can add what is missing.
    pub fn from_env() -> Result<Self> {
        load(&|name| std::env::var_os(name), Path::new(""))
    }

    /// Reads a file: `fmi.toml` or FMI's `fmi.json`, told apart by the end of its name.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let origin = path.display().to_string();
        let read = match path.extension().and_then(|extension| extension.to_str()) {
            Some("toml") => Self::from_toml_str,
            Some("json") => Self::from_json_str,
            _ => {
                return Err(told(origin, "is no config file: its name must end in .toml or .json"));
            }
        };
        let text = std::fs::read_to_string(path)
            .map_err(|wrong| told(origin.as_str(), format!("cannot be read: {wrong}")))?;
        read(&origin, &text)
    }

    /// Reads the text of an `fmi.toml`. Errors name `origin`, line and column.
    pub fn from_toml_str(origin: &str, text: &str) -> Result<Self> {
        toml::read(origin, text.strip_prefix('\u{feff}').unwrap_or(text))
    }

    /// Reads the text of an `fmi.json`. Errors name `origin`, line and column.
    pub fn from_json_str(origin: &str, text: &str) -> Result<Self> {
        json::read(origin, text.strip_prefix('\u{feff}').unwrap_or(text))
    }
}

fn load(lookup: Lookup<'_>, directory: &Path) -> Result<Config> {
    let named = env::raw(lookup, "FMI_CONFIG").map(|path| directory.join(path));
    let found = || {
        ["fmi.toml", "fmi.json"]
            .map(|name| directory.join(name))
            .into_iter()
            .find(|path| path.is_file())
    };
    let mut config = match named.or_else(found) {
        Some(path) => Config::from_file(path)?,
        None => Config::default(),
    };
    env::apply(&mut config, lookup)?;
    launcher::adopt(&mut config, lookup)?;
    Ok(config)
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::fs;

    use super::*;

    const JSON: &str = r#"{"backends": {"Direct": {"host": "h", "port": 1, "max_timeout": 5}}}"#;

    fn loaded(directory: &Path, variables: &[(&str, &str)]) -> Result<Config> {
        let lookup = |name: &str| {
            variables.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value))
        };
        load(&lookup, directory)
    }

    #[test]
    fn nothing_set_is_the_default() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(loaded(directory.path(), &[]), Ok(Config::default()));
    }

    #[test]
    fn toml_goes_before_json_and_a_named_file_before_both() {
        let directory = tempfile::tempdir().unwrap();
        let at = directory.path();
        fs::write(at.join("fmi.json"), JSON).unwrap();
        assert_eq!(loaded(at, &[]).unwrap().rendezvous.unwrap().address(), "h:1");
        fs::write(at.join("fmi.toml"), "\u{feff}job = \"toml\"\n").unwrap();
        assert_eq!(loaded(at, &[]), Ok(Config::default().job("toml")));
        fs::write(at.join("other.toml"), "job = \"other\"\n").unwrap();
        let named = loaded(at, &[("FMI_CONFIG", "other.toml")]);
        assert_eq!(named, Ok(Config::default().job("other")));
        assert_eq!(loaded(at, &[("FMI_CONFIG", "")]), Ok(Config::default().job("toml")));
    }

    #[test]
    fn environment_overrides_the_file_and_setters_override_both() {
        let directory = tempfile::tempdir().unwrap();
        let text = "job = \"file\"\nsize = 2\nrank = 1\nchannels = [\"local\"]\n";
        fs::write(directory.path().join("fmi.toml"), text).unwrap();
        let variables = [("FMI_SIZE", "4"), ("FMI_RANK", "3"), ("FMI_CHANNELS", "tcp")];
        let config = loaded(directory.path(), &variables).unwrap().rank(2);
        let expected = Config::default().job("file").size(4).rank(2).channels("tcp").unwrap();
        assert_eq!(config, expected);
    }

    #[test]
    fn a_named_file_must_be_there() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("none.toml");
        assert_eq!(
            loaded(directory.path(), &[("FMI_CONFIG", "none.toml")]),
            Err(told(
                path.display().to_string(),
                "cannot be read: No such file or directory (os error 2)"
            ))
        );
        assert_eq!(
            Config::from_file("fmi.yaml"),
            Err(told("fmi.yaml", "is no config file: its name must end in .toml or .json"))
        );
    }

    #[test]
    fn errors_in_a_file_name_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("fmi.toml");
        fs::write(&path, "job = \"x\"\nrnak = 3\n").unwrap();
        assert_eq!(
            loaded(directory.path(), &[]),
            Err(told(
                format!("{}:2:1", path.display()),
                "unknown key \"rnak\": did you mean \"rank\"?"
            ))
        );
    }
}
