//! Profiles that come with the program, and those in files.

use crate::failure::Failure;
use fmi_model::Profile;
use std::{fs, path::Path};

/// A profile by its name, or that in a file.
pub(crate) fn profile(name: &str) -> Result<Profile, Failure> {
    if let Some(profile) = Profile::shipped(name) {
        return Ok(profile);
    }
    let path = Path::new(name);
    // What looks like neither a path nor a file is a name that was mistyped.
    let is_path = name.contains(['/', '.']) || path.exists();
    if !is_path {
        return Err(Failure::usage(format!(
            "--profile: there is no profile {name:?}: known are {}, or give the path of a file (TOML), \
             as `fmi model show --toml` prints it",
            Profile::SHIPPED.join(", ")
        )));
    }
    let text = fs::read_to_string(path)
        .map_err(|error| Failure::usage(format!("--profile: {name} cannot be read: {error}")))?;
    let bad = |bad| Failure::usage(format!("--profile: {name}: {bad}"));
    Profile::from_toml(&text).map_err(bad)
}

/// The channels that a profile has, for people.
pub(crate) fn channels(profile: &Profile) -> String {
    let names: Vec<_> = profile.channels.keys().map(String::as_str).collect();
    names.join(", ")
}

/// Refuses a channel that the profile does not have: `option` asked for it.
pub(crate) fn check_channel(profile: &Profile, option: &str, name: &str) -> Result<(), Failure> {
    match profile.channels.contains_key(name) {
        true => Ok(()),
        false => Err(Failure::usage(format!(
            "{option} {name}: the profile {} has no such channel, but {}",
            profile.name,
            channels(profile)
        ))),
    }
}
