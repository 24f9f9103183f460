//! Names of objects. Everything of one epoch of a job has one prefix, so that what a crash leaves
//! behind is nobody else's, and one rule removes it.

use fmi_actors::{
    frame::Space,
    store::{Item, Part},
};
use std::fmt::Write;

/// The names within one epoch of a job.
#[derive(Debug)]
pub(super) struct Keys {
    root: String,
}

impl Keys {
    pub(super) fn new(prefix: &str, job: &str, epoch: u32) -> Self {
        let mut root = String::from(prefix);
        if !root.is_empty() {
            root.push('/');
        }
        let _ = write!(root, "{}/{epoch}/", encoded(job));
        Self { root }
    }

    /// What the names of all objects for a process begin with.
    pub(super) fn mailbox(&self, to: u32) -> String {
        format!("{}mail/{to}/", self.root)
    }

    /// The object of this number from one process to another. With zeros in front, so that a list
    /// is in order.
    pub(super) fn mail(&self, to: u32, from: u32, number: u64) -> String {
        format!("{}mail/{to}/{from}/{number:010}", self.root)
    }

    /// From whom and which an object in a mailbox is; `None` if it is not one of ours.
    pub(super) fn read_mail(&self, to: u32, key: &str) -> Option<(u32, u64)> {
        let (from, number) = key.strip_prefix(&self.mailbox(to))?.split_once('/')?;
        let parsed = (from.parse().ok()?, number.parse().ok()?);
        // No other spelling of the same.
        (self.mail(to, parsed.0, parsed.1) == key).then_some(parsed)
    }

    /// What the names of all items of a collective begin with, whoever puts them there.
    pub(super) fn items(&self, space: Space) -> String {
        format!("{}item/{:016x}/{:010}/", self.root, space.scope, space.number)
    }

    /// An item of the shelf.
    pub(super) fn item(&self, item: &Item) -> String {
        let Item { space, from, part } = item;
        let part = match part {
            Part::Block(block) => format!("block-{block:010}"),
            Part::Signal => "signal".to_owned(),
            Part::Message(to, number) => format!("message-{to}-{number:010}"),
        };
        format!("{}{from}/{part}", self.items(*space))
    }

    /// What the names of all that say who has left begin with.
    pub(super) fn left(&self) -> String {
        format!("{}left/", self.root)
    }

    /// Says that a process has left.
    pub(super) fn has_left(&self, process: u32) -> String {
        format!("{}left/{process}", self.root)
    }

    /// What all names of the epoch begin with.
    pub(super) fn all(&self) -> &str {
        &self.root
    }

    /// Whether a name is one that is made here.
    pub(super) fn is_ours(&self, key: &str) -> bool {
        let Some(key) = key.strip_prefix(&self.root) else { return false };
        let parts: Vec<_> = key.split('/').collect();
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        let hex = |part: &str| part.len() == 16 && part.bytes().all(|b| b.is_ascii_hexdigit());
        match parts[..] {
            ["mail", to, from, number] => digits(to) && digits(from) && digits(number),
            ["item", scope, number, from, part] => {
                let known = ["signal", "block-", "message-"];
                let known = known.iter().any(|known| part.starts_with(known));
                hex(scope) && digits(number) && digits(from) && known
            }
            ["left", process] => digits(process),
            _ => false,
        }
    }

    /// An object that is not there, to ask for.
    pub(super) fn nothing(prefix: &str, job: &str) -> String {
        let Self { root } = Self::new(prefix, job, 0);
        format!("{root}nothing")
    }
}

/// A job's name in one part of a key.
pub(super) fn encoded(job: &str) -> String {
    let mut text = String::new();
    for byte in job.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_".contains(&byte) {
            text.push(byte.into());
        } else {
            let _ = write!(text, "%{byte:02X}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mail_is_read_back_and_nothing_else() {
        let keys = Keys::new("a/b", "my job/1", 7);
        let key = keys.mail(3, 12, 41);
        assert_eq!(key, "a/b/my%20job%2F1/7/mail/3/12/0000000041");
        assert_eq!(keys.read_mail(3, &key), Some((12, 41)));
        for foreign in
            ["readme", "12/", "12/41", "12/0000000041x", "012/0000000041", "12/+000000041"]
        {
            let key = format!("{}{foreign}", keys.mailbox(3));
            assert_eq!(keys.read_mail(3, &key), None, "{key}");
        }
        assert_eq!(keys.read_mail(4, &key), None);
        assert!(Keys::new("", "j", 1).mailbox(0).starts_with("j/1/"));
    }

    #[test]
    fn items_differ() {
        let keys = Keys::new("", "job", 1);
        let space = Space { scope: 0xabc, number: 9 };
        let mut all: Vec<_> = [Part::Block(1), Part::Block(11), Part::Signal, Part::Message(1, 1)]
            .into_iter()
            .flat_map(|part| [0, 1].map(|from| keys.item(&Item { space, from, part })))
            .collect();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), 8);
        assert!(all.iter().all(|key| key.starts_with(&keys.items(space)) && keys.is_ours(key)));
        assert!(keys.is_ours(&keys.mail(1, 2, 3)) && keys.is_ours(&keys.has_left(4)));
        for foreign in ["notes", "mail/1/readme", "mail/1/0/+1", "item/x", "left/", "left/1/2"] {
            assert!(!keys.is_ours(&format!("{}{foreign}", keys.all())), "{foreign}");
        }
        assert!(!keys.is_ours("job/2/left/1"));
    }
}
