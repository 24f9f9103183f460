//! Mailboxes in a bucket: of a server that the environment names, else of our own; and of one of our
//! own that fails now and then.

use crate::job::Job;
use fmi_channels::conformance_suite;
use std::sync::Arc;
use test_servers::s3::Server;

mod good {
    use super::*;
    conformance_suite!(Job::at(&Arc::new(Server::any())));
}

mod bad {
    use super::*;
    conformance_suite!(Job::at(&Arc::new(Server::failing(50))));
}
