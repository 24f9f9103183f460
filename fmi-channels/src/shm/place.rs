//! Where processes must be to share memory: on one machine that has not been started anew, and where
//! both see the same Unix sockets, which is a matter of the network namespace.

use std::{fmt, fs, io, os::unix::fs::MetadataExt};

/// Where a process can be met: `BOOT/NAMESPACE/SOCKET`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// Of this run of the system's kernel.
    boot: String,
    /// Number of the network namespace.
    namespace: u64,
    /// Name of the process's socket, without a file.
    socket: String,
}

impl Place {
    /// That of the thread that calls, with a name that nobody can guess.
    pub(super) fn here() -> io::Result<Self> {
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned();
        let namespace = fs::metadata("/proc/thread-self/ns/net")?.ino();
        let mut random = [0; 16];
        getrandom::fill(&mut random).map_err(|error| io::Error::other(error.to_string()))?;
        let socket =
            random.iter().fold("fmi-".to_owned(), |name, byte| format!("{name}{byte:02x}"));
        Ok(Self { boot, namespace, socket })
    }

    /// Its own name.
    pub(super) fn name(&self) -> &str {
        &self.socket
    }

    /// The socket of a process with this address, if that can be reached from here.
    pub(super) fn neighbour(&self, address: &str) -> Option<String> {
        let (place, socket) = address.rsplit_once('/')?;
        (place == format!("{}/{}", self.boot, self.namespace)).then(|| socket.to_owned())
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.boot, self.namespace, self.socket)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_have_machine_and_namespace_in_common() {
        let (one, other) = (Place::here().unwrap(), Place::here().unwrap());
        assert_ne!(one.name(), other.name());
        assert_eq!(one.neighbour(&other.to_string()).as_deref(), Some(other.name()));
        let elsewhere = Place { namespace: 7, ..other.clone() };
        assert_eq!(one.neighbour(&elsewhere.to_string()), None);
        let before = Place { boot: "another".to_owned(), ..other };
        assert_eq!(one.neighbour(&before.to_string()), None);
        assert_eq!(one.neighbour("10.0.0.1:80"), None);
    }
}
