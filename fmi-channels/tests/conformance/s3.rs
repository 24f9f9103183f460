//! Mailboxes in a bucket: of a server that the environment names, else of our own; and of one of our
//! own that fails now and then.

use crate::{job::Job, server::Server};
use fmi_channels::conformance_suite;
use std::sync::Arc;

mod good {
    use super::*;
    conformance_suite!(Job::at(&Arc::new(Server::new())));
}

mod bad {
    use super::*;
    conformance_suite!(Job::at(&Arc::new(Server::failing(50))));
}
