//! stub
use crate::failure::Failure;
#[derive(Debug,clap::Args)]
/// s
pub(crate) struct Args{}
pub(crate) fn run(_: &Args)->Result<std::process::ExitCode,Failure>{unimplemented!()}
