//! How ranks reach each other: over links, through a store, or both.

use super::source;
use crate::failure::Failure;
use fmi::plan::{Shelf, price::Channels};
use fmi_model::{Profile, Seconds};

/// Channels of a profile that join the processes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Way {
    links: Option<String>,
    store: Option<String>,
    shelf: Shelf,
}

impl Way {
    /// Reads `tcp`, `s3`, `tcp+s3`: links, a store, or links with a store beside them. `option` asked for it.
    pub(crate) fn read(profile: &Profile, option: &str, text: &str) -> Result<Self, Failure> {
        let names: Vec<&str> = text.split('+').map(str::trim).collect();
        for name in &names {
            source::check_channel(profile, option, name)?;
        }
        let is_link = |name: &str| profile.channel(name).is_link();
        match names[..] {
            [name] if is_link(name) => Ok(Self::over(name)),
            [name] => Ok(Self::through(profile, name)),
            [link, store] if is_link(link) && !is_link(store) => {
                Ok(Self::over(link).beside(profile, store))
            }
            _ => Err(Failure::usage(format!(
                "{option} {text}: write links, a store, or both with a + between them: tcp, s3, tcp+s3"
            ))),
        }
    }

    /// Each channel between processes by itself, links first. Shared memory joins only those of one machine.
    pub(crate) fn all(profile: &Profile, one_machine: bool) -> Vec<Self> {
        let joins = |name: &&String| match name.as_str() {
            Profile::LOCAL => false,
            "shm" => one_machine,
            name => !Profile::is_shelf(name),
        };
        let is_link = |name: &&String| profile.channel(name).is_link();
        let (links, stores): (Vec<_>, Vec<_>) =
            profile.channels.keys().filter(joins).partition(is_link);
        let links = links.into_iter().map(|name| Self::over(name));
        links.chain(stores.into_iter().map(|name| Self::through(profile, name))).collect()
    }

    /// Inside one process, where no channel is needed.
    pub(crate) fn local() -> Self {
        Self::over(Profile::LOCAL)
    }

    /// Links alone.
    pub(crate) fn over(link: &str) -> Self {
        Self { links: Some(link.to_owned()), store: None, shelf: Shelf::None }
    }

    /// Nothing but a store.
    pub(crate) fn through(profile: &Profile, store: &str) -> Self {
        // Where nobody has to look, messages are pushed.
        let looks = profile.channel(store).requests.map_or(Seconds::ZERO, |paid| paid.look);
        let shelf = if looks > Seconds::ZERO { Shelf::Alone } else { Shelf::Pushed };
        Self { links: None, store: Some(store.to_owned()), shelf }
    }

    /// And a store beside the links.
    pub(crate) fn beside(self, profile: &Profile, store: &str) -> Self {
        // Without a server that all share, many read as fast as one.
        let wide = profile.channel(store).server.is_none();
        let shelf = if wide { Shelf::Wide } else { Shelf::Beside };
        Self { store: Some(store.to_owned()), shelf, ..self }
    }

    /// As [`read`](Self::read) takes it.
    pub(crate) fn name(&self) -> String {
        let names: Vec<&str> = self.links.iter().chain(&self.store).map(String::as_str).collect();
        names.join("+")
    }

    /// What the store is to the ranks.
    pub(crate) fn shelf(&self) -> Shelf {
        self.shelf
    }

    /// What each kind of message goes over.
    pub(crate) fn channels(&self) -> Channels {
        let message = self.links.as_ref().or(self.store.as_ref());
        let store = self.store.as_ref().or(self.links.as_ref());
        let name = |of: Option<&String>| of.cloned().unwrap_or_default();
        Channels::new(name(message), name(message), name(store))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lambda() -> Profile {
        Profile::shipped("aws-lambda").unwrap()
    }

    #[test]
    fn ways_are_told_by_their_channels() {
        let profile = lambda();
        for (text, shelf) in [
            ("tcp", Shelf::None),
            ("redis", Shelf::Pushed),
            ("s3", Shelf::Alone),
            ("tcp+redis", Shelf::Beside),
            ("tcp+s3", Shelf::Wide),
        ] {
            let way = Way::read(&profile, "--channel", text).unwrap();
            assert_eq!((way.name().as_str(), way.shelf()), (text, shelf));
        }
        for (text, says) in [
            ("s4", "no such channel, but local, redis, s3, tcp"),
            ("tcp+", "no such channel"),
            ("s3+tcp", "tcp+s3"),
            ("redis+s3", "tcp+s3"),
            ("tcp+redis+s3", "tcp+s3"),
        ] {
            let error = Way::read(&profile, "--channel", text).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }

    #[test]
    fn links_come_first() {
        let names = |profile: &Profile, one| {
            Way::all(profile, one).iter().map(Way::name).collect::<Vec<_>>()
        };
        assert_eq!(names(&lambda(), false), ["tcp", "redis", "s3"]);
        let lan = Profile::shipped("lan").unwrap();
        assert_eq!(names(&lan, false), ["quic", "tcp", "redis", "s3"]);
        assert_eq!(names(&lan, true), ["quic", "shm", "tcp", "redis", "s3"]);
    }
}
