//! What a server's errors mean, and what to do about them.

use fmi_actors::{Error, channel::DialError};
use redis::{ErrorKind, RedisError, ServerErrorKind};
use std::fmt;

/// Why something could not be done.
#[derive(Debug, Clone)]
pub(super) struct Trouble {
    /// For people, with what to do.
    pub(super) reason: String,
    pub(super) kind: TroubleKind,
}

/// Whether it may pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TroubleKind {
    /// It will not, until somebody changes something.
    Lasting,
    /// The server says that it is not its matter (any more): ask who is responsible.
    Elsewhere,
    /// The server works, and cannot do it now.
    Passing,
    /// There is no connection.
    Cut,
}

impl Trouble {
    /// There is no connection.
    pub(super) fn cut(reason: impl fmt::Display) -> Self {
        Self { reason: reason.to_string(), kind: TroubleKind::Cut }
    }

    /// It will not work.
    pub(super) fn lasting(reason: impl fmt::Display) -> Self {
        Self { reason: reason.to_string(), kind: TroubleKind::Lasting }
    }

    /// Somebody else is responsible now.
    pub(super) fn elsewhere(reason: impl fmt::Display) -> Self {
        Self { reason: reason.to_string(), kind: TroubleKind::Elsewhere }
    }

    /// It may work later.
    pub(super) fn passing(reason: impl fmt::Display) -> Self {
        Self { reason: reason.to_string(), kind: TroubleKind::Passing }
    }

    /// Whether to try again is pointless.
    pub(super) fn is_lasting(&self) -> bool {
        self.kind == TroubleKind::Lasting
    }

    /// As users see it.
    pub(super) fn error(self, store: impl fmt::Display, what: impl fmt::Display) -> Error {
        Error::Store { store: store.to_string(), what: what.to_string(), reason: self.reason }
    }
}

impl From<RedisError> for Trouble {
    fn from(error: RedisError) -> Self {
        let detail = error.detail().unwrap_or_default();
        let code = error.code().unwrap_or_default();
        let says = match (code, detail) {
            ("", _) => error.to_string(),
            (code, "") => code.to_owned(),
            (code, detail) => format!("{code} {detail}"),
        };
        let lasting = |advice: &str| Self::lasting(format!("it says {says:?}: {advice}"));
        let passing = |advice: &str| Self::passing(format!("it says {says:?}: {advice}"));
        let elsewhere = |advice: &str| Self::elsewhere(format!("it says {says:?}: {advice}"));
        match (error.kind(), code) {
            (_, "NOAUTH" | "WRONGPASS") | (ErrorKind::AuthenticationFailed, _) => lasting(
                "give the user and password of the server in the URL, redis://USER:PASSWORD@HOST",
            ),
            (ErrorKind::Server(ServerErrorKind::NoPerm), _) => lasting(
                "allow the ACL user what docs/redis.md lists: ACL SETUSER NAME ~fmi:* &fmi:* +@all",
            ),
            // What a script must not do.
            (ErrorKind::Server(_), _) if detail.contains("The user executing the script") => {
                lasting(
                    "allow the ACL user what docs/redis.md lists: ACL SETUSER NAME ~fmi:* &fmi:* +@all",
                )
            }
            (ErrorKind::RESP3NotSupported, _) | (_, "NOPROTO") => {
                lasting("it has to be Redis 6.2 or later, or Valkey")
            }
            (_, "OOM") => passing("its maxmemory is reached: give it more, or send less at once"),
            (ErrorKind::Server(ServerErrorKind::ReadOnly), _) => {
                elsewhere("it is a replica: name the master, or the sentinels with ?sentinel=NAME")
            }
            (ErrorKind::Server(ServerErrorKind::Moved | ServerErrorKind::Ask), _) => {
                elsewhere("it is part of a cluster: add ?cluster=true to the URL")
            }
            // A script was forgotten: each connection begins with it.
            (ErrorKind::Server(ServerErrorKind::NoScript), _) => Self::cut(says),
            (ErrorKind::Server(ServerErrorKind::BusyLoading), _) => {
                passing("it reads its data set; wait until it has")
            }
            (
                ErrorKind::Server(
                    ServerErrorKind::ClusterDown
                    | ServerErrorKind::MasterDown
                    | ServerErrorKind::TryAgain,
                ),
                _,
            ) => passing("parts of it are missing: look at its own log"),
            (ErrorKind::Server(ServerErrorKind::CrossSlot), _) => {
                lasting("its proxy does not keep the keys of one hash tag together")
            }
            (_, "WRONGTYPE") => lasting(
                "something else writes keys that begin with fmi: there; give this job another \
                 database or server",
            ),
            (_, "BUSY" | "MISCONF" | "NOREPLICAS" | "UNBLOCKED") => {
                passing("look at its own log and configuration")
            }
            (ErrorKind::Server(_), _) if detail.starts_with("unknown command") => {
                lasting("it has to be Redis 6.2 or later (7.0 for a cluster), or Valkey")
            }
            (ErrorKind::Server(ServerErrorKind::ResponseError), _)
                if detail.contains("invalid password") || detail.contains("AUTH") =>
            {
                lasting(
                    "give the user and password of the server in the URL, redis://USER:PASSWORD@HOST",
                )
            }
            (ErrorKind::Server(ServerErrorKind::ResponseError), _)
                if detail.contains("max number of clients") =>
            {
                passing("raise its maxclients; each process needs two connections")
            }
            (ErrorKind::Server(_) | ErrorKind::Extension, _) => lasting("see docs/redis.md"),
            _ => Self::cut(error),
        }
    }
}

impl From<Trouble> for DialError {
    fn from(trouble: Trouble) -> Self {
        Self { fatal: trouble.is_lasting(), reason: trouble.reason }
    }
}
