//! What is looked for: the parameters that measurements show.

use crate::{Profile, Seconds, channel::Channel};

/// Which parameters of a profile are found by measuring on some of its channels. What the host takes is the
/// same on all of them, so it is found on all of them together.
///
/// ```
/// use fmi_model::{Profile, fit::Form};
/// let mut profile = Profile::shipped("lan").unwrap();
/// let form = Form::of(&mut profile, &["tcp"]);
/// let found: Vec<f64> = form.parameters(&profile).iter().map(|time| time * 2.0).collect();
/// let before = profile.channel("tcp").latency;
/// form.set(&mut profile, &found);
/// assert_eq!(profile.channel("tcp").latency, before * 2.0);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Form {
    channels: Vec<String>,
}

/// What a parameter is where it was nothing: they are looked for by factors.
const TIME: f64 = 1e-7;
/// The same for each byte.
const PER_BYTE: f64 = 1e-11;

impl Form {
    /// That of some channels. What is published there is a channel of its own from now on, and a store has a
    /// server.
    #[must_use]
    pub fn of(profile: &mut Profile, channels: &[&str]) -> Self {
        for name in channels {
            let mut channel = profile.channel(name).clone();
            let mut shelf = profile.shelf(name).clone();
            if !channel.is_link() {
                let server = *channel.server.get_or_insert_default();
                shelf.server = Some(server);
            }
            if is_shelved(name, &channel) {
                profile.channels.insert(Profile::shelf_name(name), shelf);
            }
            profile.channels.insert((*name).to_owned(), channel);
        }
        Self { channels: channels.iter().map(|name| (*name).to_owned()).collect() }
    }

    /// The parameters in a profile, in seconds, each positive.
    #[must_use]
    pub fn parameters(&self, profile: &Profile) -> Vec<f64> {
        let mut parameters = Vec::new();
        self.visit(&mut profile.clone(), |time, least| {
            parameters.push(if time.is_zero() { least } else { time.get() });
        });
        parameters
    }

    /// Puts parameters into a profile, in the order of [`parameters`](Self::parameters).
    ///
    /// # Panics
    /// When there are not as many.
    pub fn set(&self, profile: &mut Profile, parameters: &[f64]) {
        let mut rest = parameters.iter();
        self.visit(profile, |time, _| {
            *time = Seconds::new(*rest.next().expect("as many parameters as the form has"));
        });
        assert!(rest.next().is_none(), "as many parameters as the form has");
    }

    fn visit(&self, profile: &mut Profile, mut each: impl FnMut(&mut Seconds, f64)) {
        let host = &mut profile.host;
        let times =
            [&mut host.call, &mut host.piece, &mut host.combine.fixed, &mut host.copy.fixed];
        times.into_iter().for_each(|time| each(time, TIME));
        each(&mut host.combine.per_byte, PER_BYTE);
        each(&mut host.copy.per_byte, PER_BYTE);
        for name in &self.channels {
            let Some(channel) = profile.channels.get_mut(name) else { continue };
            legs(channel, &mut each);
            let turns = &mut channel.turns;
            let times = [&mut turns.switch, &mut turns.idle, &mut turns.look];
            times.into_iter().for_each(|time| each(time, TIME));
            each(&mut turns.per_byte, PER_BYTE);
            let server = channel.server.as_mut().map(|server| {
                each(&mut server.request, TIME);
                each(&mut server.per_byte, PER_BYTE);
                *server
            });
            if let Some(shelf) = profile.channels.get_mut(&Profile::shelf_name(name)) {
                legs(shelf, &mut each);
                shelf.server = server;
            }
        }
    }
}

/// Whether what is published there is known apart from messages: in memory and in stores.
fn is_shelved(name: &str, channel: &Channel) -> bool {
    name == Profile::LOCAL || !channel.is_link()
}

fn legs(channel: &mut Channel, each: &mut impl FnMut(&mut Seconds, f64)) {
    each(&mut channel.latency, TIME);
    for leg in [&mut channel.send, &mut channel.receive] {
        each(&mut leg.fixed, TIME);
        each(&mut leg.per_byte, PER_BYTE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Bytes;
    use crate::fit::{descend, log_error};

    #[test]
    fn what_was_measured_is_found() {
        let mut profile = Profile::shipped("lan").unwrap();
        let form = Form::of(&mut profile, &["tcp", "redis"]);
        let truth = {
            let mut truth = profile.clone();
            let other: Vec<f64> = form.parameters(&profile).iter().map(|time| time * 3.0).collect();
            form.set(&mut truth, &other);
            truth
        };
        let lengths = [1, 1 << 10, 1 << 15, 1 << 20].map(Bytes::new);
        let loss = |parameters: &[f64]| {
            let mut tried = profile.clone();
            form.set(&mut tried, parameters);
            log_error(["tcp", "redis", "redis-shelf"].iter().flat_map(|name| {
                let time = |profile: &Profile, bytes| profile.channel(name).transfer(bytes).get();
                lengths.map(|bytes| (time(&tried, bytes), time(&truth, bytes)))
            }))
        };
        let start = form.parameters(&profile);
        let (found, left) = descend(&start, loss);
        assert!(loss(&start) > 1.0 && left < 0.01, "{left}");
        form.set(&mut profile, &found);
        assert_eq!(profile.check(), Ok(()));
        assert_eq!(profile.channels["redis"].server, profile.channels["redis-shelf"].server);
    }

    #[test]
    fn parameters_are_put_back_where_they_were() {
        for names in [&["local"][..], &["tcp", "s3"], &["local", "quic", "redis"]] {
            let mut profile = Profile::shipped("loopback").unwrap();
            let form = Form::of(&mut profile, names);
            let mut numbered = profile.clone();
            let numbers: Vec<f64> =
                (1..=form.parameters(&profile).len()).map(|n| n as f64).collect();
            form.set(&mut numbered, &numbers);
            assert_eq!(form.parameters(&numbered), numbers, "{names:?}");
        }
    }
}
