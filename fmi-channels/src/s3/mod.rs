//! Channel `s3`
mod bucket;
mod client;
mod counts;
pub(crate) mod directory;
mod download;
mod error;
mod keys;
mod object;
mod options;
mod runtime;
mod upload;
mod url;
