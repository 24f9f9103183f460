//! Mailboxes in a real Redis server, which all tests of this program share.

use fmi_actors::{Member, Node, Place, Settings, channel::Channel};
use fmi_channels::{
    conformance::{Wire, redis::Server},
    local::LocalLink,
    redis::Redis,
};
use parking_lot::Mutex;
use std::sync::{
    Arc, OnceLock, Weak,
    atomic::{AtomicU32, Ordering},
};

mod suite {
    use super::*;
    fmi_channels::conformance_suite!(Mailboxes::new(), if Mailboxes::possible);
}
