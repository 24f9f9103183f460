//! What S3 does to a job, and what a job does in a bucket.
//!
//! The server is one of our own in this process, or a real one that the environment names; see
//! docs/s3.md.
#![cfg(feature = "s3")]

mod bad_input;
mod job;
mod shelf;
mod survival;
